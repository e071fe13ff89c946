"""Which format a file has, by its content and never by its name."""

from __future__ import annotations

from cloak.types import Format

SUFFIXES: dict[Format, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
}

SUPPORTED = "JPEG, PNG, WebP, TIFF, HEIC and AVIF"

# How much of a file `sniff` wants to see: enough for a long list of compatible brands.
HEAD_BYTES = 256

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_AVIF_BRANDS = {b"avif", b"avis", b"avio"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_RAW_IN_TIFF = (b"II*\0\x10\0\0\0CR", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb")


def sniff(head: bytes) -> Format | None:
    """The format by content; None for everything that is not read here."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(PNG_SIGNATURE):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and not head.startswith(_RAW_IN_TIFF):
        return "TIFF"
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        if brands[0] in _AVIF_BRANDS or brands[0] in (b"mif1", b"msf1", b"miaf") and _AVIF_BRANDS & set(brands):
            return "AVIF"
        if brands[0] in _HEIF_BRANDS | {b"mif1", b"msf1", b"mif2"}:
            return "HEIF"
    return None


def other_format(data: bytes) -> str | None:
    """The name of a format that people do have, for the message only."""
    if data[4:8] == b"ftyp":
        return "a camera raw file" if data[8:12] == b"crx " else "MP4/MOV video"
    if data.startswith(_RAW_IN_TIFF):
        return "a camera raw file"
    for magic, name in (
        (b"GIF8", "GIF"), (b"BM", "BMP"), (b"%PDF", "PDF"), (b"8BPS", "Photoshop"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (b"\x1aE\xdf\xa3", "Matroska/WebM video"), (b"PK\x03\x04", "a ZIP archive"),
    ):
        if data.startswith(magic):
            return name
    head = data[:512]
    return "plain text" if b"\0" not in head and all(b >= 32 or b in b"\t\n\r\f" for b in head) else None


def _brands(head: bytes) -> list[bytes]:
    """Major, then compatible brands (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))]
