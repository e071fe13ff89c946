"""Which format a file has, by its content and never by its name."""

from __future__ import annotations

from typing import Literal, TypeAlias

Format: TypeAlias = Literal["JPEG", "PNG"]

SUFFIXES: dict[Format, tuple[str, ...]] = {"JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png",)}

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def sniff(head: bytes) -> Format | None:
    """The format by content; None for everything that is not a JPEG or PNG."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(PNG_SIGNATURE):
        return "PNG"
    return None


def other_format(data: bytes) -> str | None:
    """The name of a format that people do have, for the message only."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        is_heif = brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
        return "HEIC/HEIF" if is_heif else "MP4/MOV video"
    for magic, name in (
        (b"GIF8", "GIF"), (b"BM", "BMP"), (b"%PDF", "PDF"), (b"8BPS", "Photoshop"),
        (b"II*\0", "TIFF or a camera raw file"), (b"MM\0*", "TIFF or a camera raw file"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (b"\x1aE\xdf\xa3", "Matroska/WebM video"), (b"PK\x03\x04", "a ZIP archive"),
    ):
        if data.startswith(magic):
            return name
    head = data[:512]
    return "plain text" if b"\0" not in head and all(b >= 32 or b in b"\t\n\r\f" for b in head) else None
