"""What the bytes of a photo file say before a pixel is decoded: size, depth, orientation, profile, metadata.

The parsers are ours, because the decoders' own say too little (Pillow hides the 16 bits of a PNG), take memory for
the pixels while they read the header (WebP), or believe what viewers do not (an orientation in XMP). They read nothing
but what is named here. `orientation` is what still has to be applied to the decoded pixels, as browsers do it: the EXIF
tag of JPEG, PNG and WebP, the TIFF tag of TIFF; HEIC and AVIF turn by their own properties and ignore EXIF.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cloak import boxes
from cloak.types import Format

# Tags of TIFF 6.0, the TIFF technical notes, and DNG.
NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
DESCRIPTION, ORIENTATION, PLANAR, ARTIST, SUB_IFDS, SAMPLE_FORMAT = 270, 274, 284, 315, 330, 339
XMP, COPYRIGHT, IPTC, PHOTOSHOP, ICC, DNG_VERSION = 700, 33432, 33723, 34377, 34675, 50706
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 273, 279, 324, 325
CREDIT_TAGS = (DESCRIPTION, ARTIST, COPYRIGHT)

_TYPE_CODES = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 7: "s", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q",
               17: "q", 18: "Q"}
_TYPE_BYTES = {5: 8, 10: 8, **{kind: struct.calcsize("<" + code) for kind, code in _TYPE_CODES.items()}}
_MAX_PAGES = 1000


class Broken(Exception):
    """The file is cut off or damaged; says how."""


class Refused(Exception):
    """The file is whole, and of a kind that is not handled; names the kind and what to do."""


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says of itself. Sizes are those of the stored pixels, before any turn."""

    size: tuple[int, int]  # width, height
    bits: int = 8  # per channel
    channels: int = 3  # as stored, where that matters
    orientation: int = 1  # to be applied to the decoded pixels
    icc_profile: bytes | None = None
    exif: bytes | None = None
    iptc: bytes | None = None
    xmp: bytes | None = None
    is_lossless: bool = False
    is_inverted: bool = False  # JPEG: Adobe's CMYK stores how much ink is missing
    tiff: dict[int, tuple[object, ...]] | None = None  # tags of the first page
    notes: tuple[str, ...] = ()


def read_header(data: bytes, format: Format) -> Header:
    """The header of a file whose format was told by `sniff`.

    Raises:
        Broken: cut off or damaged, as far as the header can tell.
        Refused: animated, several pages, camera raw, or of a coding that no decoder here reads.
    """
    try:
        header = _READERS[format](data)
    except (struct.error, IndexError, OverflowError) as error:
        raise Broken("it ends inside its header") from error
    if min(header.size) < 1:
        raise Broken(f"its header says {header.size[0]} x {header.size[1]} pixels")
    return header


def orientation_of(exif: bytes | None) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read, as viewers do.

    Pillow's own reader also believes XMP, which viewers do not (the photo would turn against what people saw), and
    warns on stderr of every oddity. Source: EXIF 2.32, 4.6.2.
    """
    tiff = (exif or b"").removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for i in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * i)
            if tag == ORIENTATION and kind == 3:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:  # it ends early
        pass
    return 1


# --- JPEG --------------------------------------------------------------------------------------------------------


def _jpeg(data: bytes) -> Header:
    """ITU-T T.81, B.2; APP14 as Adobe's technical note 5116 says; ICC.1:2022, B.4."""
    size: tuple[int, int] | None = None
    channels, is_inverted = 3, False
    exif = xmp = None
    iptc = b""
    icc: dict[int, bytes] = {}
    for marker, body in _jpeg_segments(data):
        if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) and size is None:
            precision, height, width, channels = struct.unpack_from(">BHHB", body)
            if precision != 8:
                raise Refused(f"a JPEG with {precision} bits per channel. Export it with 8 bits")
            size = width, height
        elif 0xC3 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            raise Refused("a lossless or hierarchical JPEG, which viewers do not show. Export it as a usual one")
        elif marker == 0xE1 and body.startswith(b"Exif\0\0") and exif is None:
            exif = body
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0") and xmp is None:
            xmp = body[29:]
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            icc.setdefault(body[12], body[14:])
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            iptc += body[14:]
        elif marker == 0xEE and body.startswith(b"Adobe"):
            is_inverted = True
    if size is None:
        raise Broken("no picture before its end")
    profile = b"".join(icc[i] for i in sorted(icc))
    return Header(size, channels=channels, orientation=orientation_of(exif), icc_profile=profile or None, exif=exif,
                  iptc=iptc or None, xmp=xmp, is_inverted=is_inverted)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) up to the first scan."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while at >= 0 and data[at : at + 1] == b"\xff":
            at += 1
        if at < 0 or at + 3 > len(data):
            raise Broken("no scan before its end")
        marker = data[at]
        at += 1
        if marker in (0x00, 0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            continue
        if marker in (0xDA, 0xD9):
            return
        (length,) = struct.unpack_from(">H", data, at)
        if at + length > len(data):
            raise Broken("it ends inside its header")
        yield marker, data[at + 2 : at + length]
        at += max(length, 2)


# --- PNG ---------------------------------------------------------------------------------------------------------


def _png(data: bytes) -> Header:
    """W3C PNG, third edition, 5 and 11."""
    if data[12:16] != b"IHDR":
        raise Broken("no header")
    width, height, bits, kind = struct.unpack_from(">IIBB", data, 16)
    exif = xmp = icc = None
    at, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise Broken("it is cut off")
        body = memoryview(data)[at + 8 : end - 4]
        if name in (b"IHDR", b"PLTE", b"IDAT", b"IEND") and \
                zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[end - 4 : end], "big"):
            raise Broken(f"wrong checksum of {name.decode()}")
        if name == b"acTL" and length >= 4 and int.from_bytes(body[:4], "big") > 1:
            raise Refused(f"an animated PNG with {int.from_bytes(body[:4], 'big')} frames; only still pictures can be "
                          "protected. Export the frame you need")
        if name == b"iCCP" and icc is None:
            icc = _inflated(bytes(body).partition(b"\0")[2][1:])
        elif name == b"eXIf" and exif is None:
            exif = bytes(body)
        elif name == b"iTXt" and bytes(body[:22]) == b"XML:com.adobe.xmp\0\0\0\0\0" and xmp is None:
            xmp = bytes(body[22:])
        at = end
    return Header((width, height), bits=bits, channels={0: 1, 3: 1, 4: 2, 6: 4}.get(kind, 3),
                  orientation=orientation_of(exif), icc_profile=icc, exif=exif, xmp=xmp, is_lossless=True)


def _inflated(data: bytes, *, limit: int = 2**24) -> bytes | None:
    """At most `limit` bytes, which no colour profile needs; None where it cannot be read."""
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        return None


# --- WebP --------------------------------------------------------------------------------------------------------


def _webp(data: bytes) -> Header:
    """RFC 9649. The canvas is judged here because Pillow's reader takes memory for it when it opens the file."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Broken("it is cut off")
    size = None
    exif = xmp = icc = None
    is_lossless = False
    at = 12
    while at + 8 <= end:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise Broken("a chunk is longer than the file")
        body = memoryview(data)[at + 8 : at + 8 + length]
        if name in (b"ANIM", b"ANMF"):
            raise Refused("an animated WebP; only still pictures can be protected. Export the frame you need")
        if name == b"VP8X":
            size = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        elif name == b"VP8 " and size is None:
            width, height = struct.unpack_from("<HH", body, 6)
            size = width & 0x3FFF, height & 0x3FFF
        elif name == b"VP8L":
            is_lossless = True
            if size is None:
                (packed,) = struct.unpack_from("<I", body, 1)
                size = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        elif name == b"ICCP":
            icc = bytes(body)
        elif name == b"EXIF":
            exif = bytes(body)
        elif name == b"XMP ":
            xmp = bytes(body)
        at += 8 + length + length % 2
    if size is None:
        raise Broken("no picture before its end")
    notes = () if is_lossless else ("lossy WebP keeps half the colour resolution (4:2:0); brightness is kept whole",)
    return Header(size, orientation=orientation_of(exif), icc_profile=icc, exif=exif, xmp=xmp,
                  is_lossless=is_lossless, notes=notes)


# --- TIFF --------------------------------------------------------------------------------------------------------


def _tiff(data: bytes) -> Header:
    """TIFF 6.0 and BigTIFF. Only the first page is a photo here; thumbnails beside it are dropped."""
    pages = list(_pages(data))
    if not pages:
        raise Broken("no page")
    first = pages[0]
    if DNG_VERSION in first or _number(first, PHOTOMETRIC) in (32803, 34892):
        raise Refused("a camera raw file (DNG). Develop it first and export a JPEG or TIFF")
    if _number(first, NEW_SUBFILE_TYPE) & 1:
        raise Refused("a camera raw file, or a TIFF that begins with a preview. Develop or export it first")
    more = sum(1 for page in pages[1:] if not _number(page, NEW_SUBFILE_TYPE) & 5)  # 1: reduced, 4: mask
    if more:
        raise Refused(f"a TIFF with {more + 1} pages; only single pictures can be protected. Export the page you need")
    width, height = _number(first, WIDTH), _number(first, HEIGHT)
    for offset in first.get(SUB_IFDS, ()):
        (inner, _) = _page(data, int(offset)) if isinstance(offset, int) else ({}, 0)
        if _number(inner, WIDTH) * _number(inner, HEIGHT) > width * height:
            raise Refused("a camera raw file, or a TIFF with a larger picture inside. Develop or export it first")
    for offsets, lengths in ((STRIP_OFFSETS, STRIP_BYTES), (TILE_OFFSETS, TILE_BYTES)):
        for start, length in zip(first.get(offsets, ()), first.get(lengths, ())):
            if isinstance(start, int) and isinstance(length, int) and start + length > len(data):
                raise Broken("it is cut off")
    bits = [b for b in first.get(BITS, (1,)) if isinstance(b, int)] or [1]
    kinds = {kind for kind in first.get(SAMPLE_FORMAT, (1,))}
    if max(bits) > 16 or kinds - {1, 4}:
        raise Refused(f"a TIFF with {max(bits)} bits per channel or other than whole positive numbers. Export it with "
                      "8 or 16 bits")
    if _number(first, PHOTOMETRIC) in (8, 9, 10):
        raise Refused("a TIFF in Lab colours. Convert it to RGB first")
    turn = _number(first, ORIENTATION)
    return Header((width, height), bits=max(bits), orientation=turn if 1 <= turn <= 8 else 1,
                  icc_profile=_bytes(first, ICC), exif=_credit_exif(first), xmp=_bytes(first, XMP),
                  iptc=_bytes(first, IPTC) or _bytes(first, PHOTOSHOP), is_lossless=True, tiff=first)


def _pages(data: bytes) -> Iterator[dict[int, tuple[object, ...]]]:
    """The pages in order; one that was seen already ends the chain, as in a file that points back at itself."""
    order = _byte_order(data)
    if data[2:4] in (b"+\0", b"\0+"):
        (at,) = struct.unpack_from(order + "Q", data, 8)
    else:
        (at,) = struct.unpack_from(order + "I", data, 4)
    seen: set[int] = set()
    while at and at not in seen:
        if len(seen) == _MAX_PAGES:
            raise Refused(f"a TIFF with more than {_MAX_PAGES} pages. Export the page you need")
        seen.add(at)
        page, at = _page(data, at)
        yield page


def _byte_order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def _page(data: bytes, at: int) -> tuple[dict[int, tuple[object, ...]], int]:
    """The tags of one directory, and where the next one is; text and unknown bytes come as one bytes object."""
    order = _byte_order(data)
    is_big = data[2:4] in (b"+\0", b"\0+")
    count_code, entry_code, next_code = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")
    (count,) = struct.unpack_from(order + count_code, data, at)
    at += struct.calcsize(order + count_code)
    if count > 4096:
        raise Broken(f"a directory of {count} tags")
    step, room = struct.calcsize(order + entry_code), 8 if is_big else 4
    tags: dict[int, tuple[object, ...]] = {}
    for i in range(count):
        tag, kind, length, inline = struct.unpack_from(order + entry_code, data, at + i * step)
        total = _TYPE_BYTES.get(kind, 0) * length
        if total > room:
            (start,) = struct.unpack(order + ("Q" if is_big else "I"), inline)
            if start + total > len(data):
                raise Broken(f"tag {tag} lies behind its end")
            inline = data[start : start + total]
        code = _TYPE_CODES.get(kind)
        if code == "s" or kind == 1 and tag in (XMP, IPTC, PHOTOSHOP, ICC):
            tags.setdefault(tag, (inline[:total],))
        elif kind == 4 and tag in (IPTC,):  # written so by old Photoshop: longs that hold bytes
            tags.setdefault(tag, (inline[:total],))
        elif code is not None:
            tags.setdefault(tag, struct.unpack_from(f"{order}{length}{code}", inline))
    (following,) = struct.unpack_from(order + next_code, data, at + count * step)
    return tags, following


def _number(tags: dict[int, tuple[object, ...]], tag: int) -> int:
    """The first value of a tag; 0 where it has none."""
    value = next(iter(tags.get(tag, ())), 0)
    return value if isinstance(value, int) else 0


def _bytes(tags: dict[int, tuple[object, ...]], tag: int) -> bytes | None:
    value = next(iter(tags.get(tag, ())), None)
    return value if isinstance(value, bytes) and value else None


def texts(exif: bytes) -> dict[int, bytes]:
    """The credit tags of an EXIF block that begins with a TIFF header, without their final zeros."""
    page = next(_pages(exif), {}) if exif else {}
    found = {tag: _bytes(page, tag) for tag in CREDIT_TAGS}
    return {tag: text.rstrip(b"\0") for tag, text in found.items() if text}


def _credit_exif(tags: dict[int, tuple[object, ...]]) -> bytes | None:
    """An EXIF block with the credit tags of a TIFF, which keeps them among its own: little endian, tags ascending."""
    texts = [(tag, text) for tag in CREDIT_TAGS if (text := _bytes(tags, tag)) is not None]
    if not texts:
        return None
    start = 8 + 2 + 12 * len(texts) + 4
    entries, values = b"", b""
    for tag, text in texts:
        text = text.rstrip(b"\0").ljust(4, b"\0") + b"\0"  # five bytes never fit the entry itself
        entries += struct.pack("<HHII", tag, 2, len(text), start + len(values))
        values += text
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(texts)) + entries + bytes(4) + values


# --- HEIC and AVIF -----------------------------------------------------------------------------------------------


def _boxed(data: bytes) -> Header:
    """ISO/IEC 23008-12. Turns (`irot`, `imir`) are the decoder's business."""
    try:
        picture = boxes.read_picture(data)
    except ValueError as error:
        raise Broken(str(error)) from error
    if picture.is_sequence:
        raise Refused("an animation or image sequence; only still pictures can be protected. Export the frame you "
                      "need")
    if picture.pictures > 1:
        raise Refused(f"a file with {picture.pictures} pictures; only single ones can be protected. Export the one "
                      "you need")
    notes = []
    if picture.transfer in (16, 18):
        name = "PQ" if picture.transfer == 16 else "HLG"
        notes.append(f"HDR ({name}) became standard range without tone mapping; colours may look flat")
    elif picture.has_gain_map:
        notes.append("HDR: the gain map was dropped; what is written is the standard-range picture")
    if picture.primaries not in (None, 1, 2):
        notes.append(f"colour primaries {picture.primaries} are not carried over unless the file has an ICC profile")
    return Header(picture.size, bits=picture.bits, is_lossless=False, notes=tuple(notes))


def _avif(data: bytes) -> Header:
    header = _boxed(data)
    if boxes.read_picture(data).is_cropped:
        # libavif shows what was cropped away, and that may be the very face that had to go.
        raise Refused("an AVIF that is cropped by a note in the file (clap). Export it anew")
    return header


_READERS: dict[Format, Callable[[bytes], Header]] = {
    "JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "TIFF": _tiff, "HEIF": _boxed, "AVIF": _avif,
}
