"""Photos whose metadata is full of secrets, and a search for them in what became of such a photo.

`plant` hides canaries (words, numbers and whole pictures that occur nowhere else) in every place that a format has for
them, beside a credit line that may stay. `inspect` looks for them in a written file three ways, none of which is ours:
the bytes themselves, as they are and as text encodings or compression would hide them; signs of a second picture; and
exiftool, of whose findings only an allow-list may remain.
"""

from __future__ import annotations

import base64
import io
import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import pillow_heif
from PIL import Image, ImageCms

Format: TypeAlias = Literal["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"]
Profile: TypeAlias = Literal["strip", "credit"]
FORMATS: tuple[Format, ...] = get_args(Format)
PROFILES: tuple[Profile, ...] = get_args(Profile)
SUFFIXES: dict[Format, str] = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "HEIF": ".heic",
                               "AVIF": ".avif"}

# What may stay: each field as it must come back, and the tags of exiftool that carry it.
CREDIT = {
    "creator": "KEEP-Zoë Ångström", "credit": "KEEP-Agence/AFP", "copyright": "KEEP-© Zoë & <Co>",
    "caption": "KEEP-Protesters at the bridge, “peaceful”.", "headline": "KEEP-March for the river",
    "usage_terms": "KEEP-No face recognition", "source": "KEEP-Staff",
}  # fmt: skip
CREDIT_TAGS = {
    "creator": ("XMP-dc:Creator", "IPTC:By-line", "IFD0:Artist"),
    "credit": ("XMP-photoshop:Credit", "IPTC:Credit"),
    "copyright": ("XMP-dc:Rights", "IPTC:CopyrightNotice", "IFD0:Copyright"),
    "caption": ("XMP-dc:Description", "IPTC:Caption-Abstract", "IFD0:ImageDescription"),
    "headline": ("XMP-photoshop:Headline", "IPTC:Headline"),
    "usage_terms": ("XMP-xmpRights:UsageTerms",),
    "source": ("XMP-photoshop:Source", "IPTC:Source"),
}


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret: where it was planted, and bytes of which none may be in the written file."""

    name: str
    needles: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Planted:
    """A photo of `format` that holds the canaries and the credit line."""

    format: Format
    data: bytes
    canaries: tuple[Canary, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a written file still says."""

    found: tuple[str, ...]  # names of canaries whose bytes are there
    pictures: int  # picture files by their signatures; 1 is the photo itself
    strange: tuple[str, ...]  # "group:tag = value" of exiftool's that no written file has a reason to carry
    kept: dict[str, str]  # field of the credit line -> its values, "a | b" where blocks differ, "" where there is none
    source_type: str  # the digital source type, "" where there is none


class ExiftoolMissing(RuntimeError):
    """The independent reader is not installed."""


# --- planting ----------------------------------------------------------------------------------------------------


def plant(picture: Image.Image, face: Image.Image, format: Format) -> Planted:
    """`picture` as a file of `format`, with a canary in every place that format has.

    Args:
        picture: RGB; large enough to be a photo of its own, a few hundred pixels a side.
        face: RGB; what thumbnails and previews show: the face before anything was done to it.
    """
    makers = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "TIFF": _tiff, "HEIF": _heif, "AVIF": _avif}
    return makers[format](picture, face)


def _word(name: str) -> Canary:
    return Canary(name, (_text(name).encode(),))


def _text(name: str) -> str:
    return "CANARY-" + name.upper().replace(" ", "-")


def _shot(name: str, stream: bytes) -> Canary:
    """A picture within the file: any 24 bytes of it in a row, taken from its middle, give it away.

    Flat stretches say nothing: the same bytes may stand in any other picture.
    """
    middle = range(len(stream) // 4, 3 * len(stream) // 4, max(1, len(stream) // 64))
    runs = [stream[at : at + 24] for at in middle]
    return Canary(name, tuple(run for run in runs if len(set(run)) >= 12))


def _encoded(image: Image.Image, format: str, **options: object) -> bytes:
    image, buffer = image.copy(), io.BytesIO()
    image.info.clear()  # Pillow would write the colour profile of where the pixels came from
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _small_jpeg(face: Image.Image, side_px: int) -> bytes:
    """Each of another size, so that no two are the same bytes."""
    return _encoded(face.resize((side_px, side_px)), "JPEG", quality=85)


_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _BYTE = 2, 3, 4, 5, 7, 1
_SIZES = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _UNDEFINED: 1, _BYTE: 1}
_Entries: TypeAlias = dict[int, tuple[int, bytes]]
_GPS_SECONDS = struct.pack("<II", 30132071, 1000003)  # 30.13 seconds, as no other number would be written
_DATE = "2031:07:23 04:05:06"


class _Tiff:
    """A little-endian TIFF, written from its leaves to its root (TIFF 6.0, 2)."""

    def __init__(self) -> None:
        self.out = bytearray(b"II*\0\0\0\0\0")

    def add(self, data: bytes) -> int:
        """Where `data` now stands."""
        self.out += b"\0" * (len(self.out) % 2)
        at = len(self.out)
        self.out += data
        return at

    def directory(self, entries: _Entries, *, following: int = 0) -> int:
        body = b""
        for tag, (kind, value) in sorted(entries.items()):
            place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", self.add(value))
            body += struct.pack("<HHI", tag, kind, len(value) // _SIZES[kind]) + place
        return self.add(struct.pack("<H", len(entries)) + body + struct.pack("<I", following))

    def finish(self, first: int) -> bytes:
        self.out[4:8] = struct.pack("<I", first)
        return bytes(self.out)


def _ascii(text: str) -> tuple[int, bytes]:
    return _ASCII, text.encode() + b"\0"


def _shorts(*values: int) -> tuple[int, bytes]:
    return _SHORT, struct.pack(f"<{len(values)}H", *values)


def _longs(*values: int) -> tuple[int, bytes]:
    return _LONG, struct.pack(f"<{len(values)}I", *values)


def _camera_entries(tiff: _Tiff) -> tuple[_Entries, list[Canary]]:
    """The entries of IFD0 that cameras, phones and their owners write."""
    gps = tiff.directory({
        0: (_BYTE, b"\2\3\0\0"), 1: _ascii("N"), 3: _ascii("E"), 8: _ascii(_text("gps satellites")),
        2: (_RATIONAL, struct.pack("<IIII", 48, 1, 51, 1) + _GPS_SECONDS),
        4: (_RATIONAL, struct.pack("<IIII", 2, 1, 17, 1) + _GPS_SECONDS), 29: _ascii("2031:07:23"),
    })  # fmt: skip
    exif = tiff.directory({
        0x9000: (_UNDEFINED, b"0232"), 0x9003: _ascii(_DATE), 0xA431: _ascii(_text("body serial")),
        0xA435: _ascii(_text("lens serial")), 0xA430: _ascii(_text("owner")), 0xA434: _ascii(_text("lens model")),
        0xA420: _ascii(_text("unique id")), 0x9286: (_UNDEFINED, b"ASCII\0\0\0" + _text("user comment").encode()),
        0x927C: (_UNDEFINED, b"Maker\0" + b"\1\2" * 50 + _text("maker note").encode()),
    })  # fmt: skip
    comment = _text("xp comment")
    entries = {
        0x010F: _ascii("CanaryCam"), 0x0110: _ascii(_text("model")), 0x0131: _ascii(_text("software")),
        0x013C: _ascii(_text("host")), 0x9C9C: (_BYTE, comment.encode("utf-16-le") + b"\0\0"),
        0x013B: _ascii(CREDIT["creator"]), 0x8298: _ascii(CREDIT["copyright"]), 0x010E: _ascii(CREDIT["caption"]),
        0x8769: _longs(exif), 0x8825: _longs(gps), 0xC5D5: _ascii(_text("private tag")),
    }  # fmt: skip
    words = ("gps satellites", "body serial", "lens serial", "owner", "lens model", "unique id", "user comment",
             "maker note", "model", "software", "host", "private tag")  # fmt: skip
    swapped = b"".join(half[::-1] for half in (_GPS_SECONDS[:4], _GPS_SECONDS[4:]))
    return entries, [
        *map(_word, words),
        Canary("gps position", (_GPS_SECONDS, swapped)), Canary("date", (_DATE.encode(),)),
        Canary("xp comment", (comment.encode("utf-16-le"), comment.encode())), Canary("make", (b"CanaryCam",)),
    ]  # fmt: skip


def _exif(face: Image.Image) -> tuple[bytes, list[Canary]]:
    tiff, thumbnail = _Tiff(), _small_jpeg(face, 90)
    entries, canaries = _camera_entries(tiff)
    at = tiff.add(thumbnail)
    second = tiff.directory({0x0103: _shorts(6), 0x0201: _longs(at), 0x0202: _longs(len(thumbnail))})
    return tiff.finish(tiff.directory(entries, following=second)), [*canaries, _shot("exif thumbnail", thumbnail)]


def _xmp(face: Image.Image) -> tuple[bytes, list[Canary]]:
    thumbnail = _small_jpeg(face, 84)
    escaped = {name: value.replace("&", "&amp;").replace("<", "&lt;") for name, value in CREDIT.items()}
    names = {prefix: f'xmlns:{prefix}="{uri}"' for prefix, uri in {
        "dc": "http://purl.org/dc/elements/1.1/", "exif": "http://ns.adobe.com/exif/1.0/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/", "xmp": "http://ns.adobe.com/xap/1.0/",
        "xmpMM": "http://ns.adobe.com/xap/1.0/mm/", "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
        "aux": "http://ns.adobe.com/exif/1.0/aux/", "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
        "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
        "xmpGImg": "http://ns.adobe.com/xap/1.0/g/img/", "stArea": "http://ns.adobe.com/xmp/sType/Area#",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/", "canary": "http://example.org/canary/",
    }.items()}  # fmt: skip

    def bag(property: str, kind: str, item: str, attributes: str = "") -> str:
        return f"<{property}><rdf:{kind}><rdf:li{attributes}>{item}</rdf:li></rdf:{kind}></{property}>"

    default, resource = ' xml:lang="x-default"', ' rdf:parseType="Resource"'
    lines = [
        bag("dc:creator", "Seq", escaped["creator"]), bag("dc:rights", "Alt", escaped["copyright"], default),
        bag("dc:description", "Alt", escaped["caption"], default),
        bag("xmpRights:UsageTerms", "Alt", escaped["usage_terms"], default),
        f"<photoshop:Headline>{escaped['headline']}</photoshop:Headline>",
        bag("dc:subject", "Bag", _text("xmp keyword")),
        bag("Iptc4xmpExt:PersonInImage", "Bag", _text("xmp person")),
        bag("xmpMM:History", "Seq", f"<stEvt:softwareAgent>{_text('xmp history')}</stEvt:softwareAgent>", resource),
        f"<mwg-rs:Regions{resource}>" + bag("mwg-rs:RegionList", "Bag",
            f"<mwg-rs:Name>{_text('xmp face region')}</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type>", resource)
        + "</mwg-rs:Regions>",
        bag("xmp:Thumbnails", "Alt", f"<xmpGImg:format>JPEG</xmpGImg:format><xmpGImg:image>"
            f"{base64.b64encode(thumbnail).decode()}</xmpGImg:image>", resource),
    ]  # fmt: skip
    attributes = " ".join([
        f'photoshop:Credit="{escaped["credit"]}" photoshop:Source="{escaped["source"]}"',
        f'exif:GPSLatitude="48,51.5022017N" exif:GPSLongitude="2,17.5022017E" photoshop:City="{_text("xmp city")}"',
        f'xmpMM:DocumentID="xmp.did:{_text("xmp document id")}" xmp:CreatorTool="{_text("xmp creator tool")}"',
        f'aux:SerialNumber="{_text("xmp serial")}" canary:any="{_text("xmp unknown property")}"',
        'xmp:CreateDate="2031-07-23T04:05:06"',
    ])
    text = ('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/" '
            f'x:xmptk="{_text("xmp toolkit")}"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about="" {" ".join(names.values())} {attributes}>{"".join(lines)}</rdf:Description>'
            '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>')  # fmt: skip
    words = ("xmp keyword", "xmp person", "xmp history", "xmp face region", "xmp city", "xmp document id",
             "xmp creator tool", "xmp serial", "xmp unknown property", "xmp toolkit")  # fmt: skip
    return text.encode(), [
        *map(_word, words), Canary("xmp gps", (b"51.5022017",)), Canary("xmp date", (b"2031-07-23",)),
        _shot("xmp thumbnail", thumbnail),
    ]  # fmt: skip


def _iptc() -> tuple[bytes, list[Canary]]:
    planted = {25: "iptc keyword", 40: "iptc instructions", 90: "iptc city", 92: "iptc sublocation", 122: "iptc writer"}
    kept = {80: "creator", 105: "headline", 110: "credit", 115: "source", 116: "copyright", 120: "caption"}
    values = {number: _text(name) for number, name in planted.items()}
    values |= {number: CREDIT[name] for number, name in kept.items()}
    data = b"\x1c\1\x5a\0\3\x1b%G\x1c\2\0\0\2\0\4"
    for number, value in sorted(values.items()):
        data += struct.pack(">BBBH", 0x1C, 2, number, len(value.encode())) + value.encode()
    return data, [_word(name) for name in planted.values()]


def _photoshop(face: Image.Image) -> tuple[bytes, list[Canary]]:
    """Photoshop's resources, IPTC among them."""
    iptc, canaries = _iptc()
    thumbnail = _small_jpeg(face, 96)
    head = struct.pack(">IIIIIIHH", 1, 96, 96, 288, 288 * 96, len(thumbnail), 24, 1)
    resources = [(0x0404, iptc), (0x040C, head + thumbnail), (0x040B, _text("photoshop url").encode())]
    block = b"".join(b"8BIM" + struct.pack(">HHI", kind, 0, len(body)) + body + b"\0" * (len(body) % 2)
                     for kind, body in resources)
    return block, [*canaries, _shot("photoshop thumbnail", thumbnail), _word("photoshop url")]


def _icc() -> tuple[bytes, list[Canary]]:
    """sRGB as littleCMS makes it, with a display's date, maker, name and serial number, and bytes after the end."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    date, maker = struct.pack(">6H", 2031, 7, 23, 4, 5, 6), b"CNRYMDL9"
    profile = profile[:24] + date + profile[36:48] + maker + profile[56:]
    description = "CANARY-SCREEN".encode("utf-16-be")  # as long as the name it replaces
    assert profile.count("sRGB built-in".encode("utf-16-be")) == 1
    profile = profile.replace("sRGB built-in".encode("utf-16-be"), description)
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(count)]
    extra = b"text\0\0\0\0" + _text("icc private tag").encode() + b"\0"
    extra += b"\0" * (-len(extra) % 4)
    table = b"".join(struct.pack(">4sII", name, at + 12, size) for name, at, size in entries)
    body = profile[132 + 12 * count :]
    table += struct.pack(">4sII", b"mmod", 132 + 12 * (count + 1) + len(body), len(extra))
    whole = profile[:128] + struct.pack(">I", count + 1) + table + body + extra
    whole = struct.pack(">I", len(whole)) + whole[4:]
    return whole + _text("icc trailing").encode(), [
        _word("icc private tag"), _word("icc trailing"), Canary("icc date", (date,)), Canary("icc maker", (maker,)),
        Canary("icc description", (description,)),
    ]  # fmt: skip


def _with_blocks(face: Image.Image) -> tuple[bytes, bytes, bytes, list[Canary]]:
    """(exif, xmp, icc, their canaries) for the formats that take them as they are."""
    (exif, a), (xmp, b), (icc, c) = _exif(face), _xmp(face), _icc()
    return exif, xmp, icc, [*a, *b, *c]


def _jpeg(picture: Image.Image, face: Image.Image) -> Planted:
    exif, xmp, icc, canaries = _with_blocks(face)
    resources, more = _photoshop(face)
    second, jfxx = _encoded(face.resize((160, 160)), "JPEG", quality=88), _small_jpeg(face, 78)
    data = _encoded(picture, "JPEG", quality=92)
    extended = _text("extended xmp").encode()
    segments = [
        (0xE0, b"JFXX\0\x10" + jfxx), (0xE1, b"Exif\0\0" + exif), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", len(extended), 0) + extended),
        (0xED, b"Photoshop 3.0\0" + resources), (0xE2, b"ICC_PROFILE\0\1\1" + icc),
        (0xE7, b"UNKNOWN\0" + _text("jpeg unknown segment").encode()), (0xFE, _text("jpeg comment").encode()),
        (0xEB, b"JP\0\1\0\0\0\1" + struct.pack(">I", 60) + b"jumb" + _text("jpeg c2pa box").encode()),
    ]  # fmt: skip
    inserted = b"".join(struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body for marker, body in segments)
    # The multi-picture index counts from its own header, right behind the inserted segments (CIPA DC-007, 5).
    index_bytes = 2 + 2 + 4 + 8 + 2 + 12 * 3 + 4 + 32
    first_bytes = len(data) + len(inserted) + index_bytes
    header_at = 20 + len(inserted) + 8
    index = b"MPF\0" + b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
    index += struct.pack("<HHII", 0xB001, 4, 1, 2) + struct.pack("<HHIII", 0xB002, 7, 32, 50, 0)
    index += struct.pack("<IIIHH", 0x20030000, first_bytes, 0, 0, 0)
    index += struct.pack("<IIIHH", 0, len(second), first_bytes - header_at, 0, 0)
    inserted += struct.pack(">BBH", 0xFF, 0xE2, 2 + len(index)) + index
    data = data[:20] + inserted + data[20:]  # behind JFIF
    return Planted("JPEG", data + second + _text("trailing bytes").encode(), (
        *canaries, *more, _shot("jfxx thumbnail", jfxx), _shot("second picture", second), _word("extended xmp"),
        _word("jpeg unknown segment"), _word("jpeg comment"), _word("jpeg c2pa box"), _word("trailing bytes"),
    ))  # fmt: skip


def _png(picture: Image.Image, face: Image.Image) -> Planted:
    exif, xmp, icc, canaries = _with_blocks(face)
    resources, more = _photoshop(face)
    data = _encoded(picture, "PNG")
    in_hex = f"\niptc\n{len(resources):8}\n{resources.hex()}\n".encode()
    chunks = [
        (b"iCCP", b"icc\0\0" + zlib.compress(icc)), (b"tEXt", b"Comment\0" + _text("png text").encode()),
        (b"zTXt", b"Author\0\0" + zlib.compress(_text("png packed text").encode())),
        (b"iTXt", b"Title\0\0\0\0\0" + _text("png unicode text").encode()),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp), (b"eXIf", exif),
        (b"tIME", struct.pack(">HBBBBB", 2031, 7, 23, 4, 5, 6)), (b"caNa", _text("png unknown chunk").encode()),
        (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(in_hex)),
    ]  # fmt: skip
    inserted = b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
                        for name, body in chunks)
    data = data[:33] + inserted + data[33:] + _text("trailing bytes").encode()  # behind IHDR
    words = ("png text", "png packed text", "png unicode text", "png unknown chunk", "trailing bytes")
    return Planted("PNG", data, (
        *canaries, *more, *map(_word, words), Canary("png time", (struct.pack(">HBBBBB", 2031, 7, 23, 4, 5, 6),)),
    ))  # fmt: skip


def _webp(picture: Image.Image, face: Image.Image) -> Planted:
    exif, xmp, icc, canaries = _with_blocks(face)
    data = _encoded(picture, "WEBP", quality=92, exif=exif, xmp=xmp, icc_profile=icc)
    body = _text("webp unknown chunk").encode()
    data += b"CNRY" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:] + _text("trailing bytes").encode()
    return Planted("WEBP", data, (*canaries, _word("webp unknown chunk"), _word("trailing bytes")))


def _tiff(picture: Image.Image, face: Image.Image) -> Planted:
    tiff, (xmp, in_xmp), (icc, in_icc) = _Tiff(), _xmp(face), _icc()
    (iptc, _), (resources, more) = _iptc(), _photoshop(face)
    entries, canaries = _camera_entries(tiff)
    tiff.add(_text("tiff gap").encode())  # between the parts, where no tag points

    def pixels(image: Image.Image, *, subfile_type: int) -> _Entries:
        raw = image.tobytes()
        return {
            0x00FE: _longs(subfile_type), 0x0100: _longs(image.width), 0x0101: _longs(image.height),
            0x0102: _shorts(8, 8, 8), 0x0103: _shorts(1), 0x0106: _shorts(2), 0x0111: _longs(tiff.add(raw)),
            0x0115: _shorts(3), 0x0116: _longs(image.height), 0x0117: _longs(len(raw)),
        }  # fmt: skip

    preview, thumbnail = face.resize((60, 60)), face.resize((50, 50))
    sub = tiff.directory(pixels(preview, subfile_type=1))
    second = tiff.directory(pixels(thumbnail, subfile_type=1))
    entries |= pixels(picture, subfile_type=0) | {
        0x014A: _longs(sub), 0x02BC: (_BYTE, xmp), 0x83BB: (_UNDEFINED, iptc), 0x8649: (_UNDEFINED, resources),
        0x8773: (_UNDEFINED, icc),
    }  # fmt: skip
    data = tiff.finish(tiff.directory(entries, following=second)) + _text("trailing bytes").encode()
    return Planted("TIFF", data, (
        *canaries, *in_xmp, *in_icc, *more, _word("tiff gap"), _shot("tiff preview", preview.tobytes()),
        _shot("tiff second page", thumbnail.tobytes()), _word("trailing bytes"),
    ))  # fmt: skip


def _boxed(data: bytes, face: Image.Image) -> tuple[bytes, list[Canary]]:
    """`data` with boxes that no decoder needs: a free one, and a maker's own with a whole picture (ISO 14496-12)."""
    picture = _small_jpeg(face, 100)
    for kind, body in ((b"free", _text("free box").encode()), (b"uuid", b"canary-maker-box" + picture)):
        data += struct.pack(">I", 8 + len(body)) + kind + body  # nothing can stand outside a box
    return data, [_word("free box"), _shot("picture in a maker's box", picture)]


def _heif(picture: Image.Image, face: Image.Image) -> Planted:
    exif, xmp, icc, canaries = _with_blocks(face)
    image = pillow_heif.from_bytes("RGB", picture.size, picture.tobytes())
    image.info["thumbnails"] = [128]
    buffer = io.BytesIO()
    image.save(buffer, quality=90, exif=exif, xmp=xmp, icc_profile=icc, save_nclx_profile=False)
    data, more = _boxed(buffer.getvalue(), face)
    return Planted("HEIF", data, (*canaries, *more, *_thumbnail_items(buffer.getvalue())))


def _thumbnail_items(data: bytes) -> list[Canary]:
    """The bytes of the thumbnail that the HEIF library has made: the smaller of its two pictures."""
    from_items = sorted(_items(data), key=len)
    return [_shot("heif thumbnail", from_items[0])]


def _items(data: bytes) -> list[bytes]:
    """The coded pictures of a HEIF file, by `iinf` and `iloc` version 0 or 1 (ISO 14496-12, 8.11)."""
    at = data.index(b"iloc") + 4
    version, sizes, more, count = struct.unpack_from(">B3xBBH", data, at)
    offset_bytes, length_bytes, base_bytes, index_bytes = sizes >> 4, sizes & 15, more >> 4, more & 15
    at += 8
    pictures = set(re.findall(rb"infe\x02\0\0.(..)\0\0(?:hvc1|av01)", data, re.DOTALL))
    found = []
    for _ in range(count):
        number = data[at : at + 2]
        at += 2 + (2 if version == 1 else 0) + 2
        base = int.from_bytes(data[at : at + base_bytes], "big")
        at += base_bytes
        (extents,) = struct.unpack_from(">H", data, at)
        at += 2
        body = b""
        for _ in range(extents):
            at += index_bytes if version == 1 else 0
            start = base + int.from_bytes(data[at : at + offset_bytes], "big")
            size = int.from_bytes(data[at + offset_bytes : at + offset_bytes + length_bytes], "big")
            body += data[start : start + size]
            at += offset_bytes + length_bytes
        if number in pictures:
            found.append(body)
    return found


def _avif(picture: Image.Image, face: Image.Image) -> Planted:
    exif, xmp, icc, canaries = _with_blocks(face)
    data = _encoded(picture, "AVIF", quality=90, speed=10, exif=exif, xmp=xmp, icc_profile=icc)
    data, more = _boxed(data, face)
    return Planted("AVIF", data, (*canaries, *more))


# --- looking -----------------------------------------------------------------------------------------------------


def inspect(data: bytes, canaries: Sequence[Canary], profile: Profile) -> Inspection:
    """What of `canaries`, and of anything else that was not asked for, a written file holds.

    Args:
        profile: decides which tags of exiftool's are no surprise: none about the photo, or the credit line.
    Raises:
        ExiftoolMissing: it is not installed.
    """
    views = list(_views(data))
    found = tuple(canary.name for canary in canaries
                  if any(form in view for view in views for needle in canary.needles for form in _forms(needle)))
    tags = read_tags(data)
    allowed = _PLAIN_TAGS + (_CREDIT_PATTERNS if profile == "credit" else [])
    strange = tuple(f"{tag} = {value[:60]}" for tag, value in tags
                    if not any(re.fullmatch(pattern, tag) for pattern in allowed) or "CANARY" in value)
    kept = {name: " | ".join(dict.fromkeys(value for tag, value in tags if tag in carriers))
            for name, carriers in CREDIT_TAGS.items()}
    source_type = next((value for tag, value in tags if tag == "XMP-iptcExt:DigitalSourceType"), "")
    return Inspection(found, _pictures(data), strange, kept, source_type)


def _forms(needle: bytes) -> list[bytes]:
    """As it is, as hexadecimal, and as Base64 at each of its three alignments, ends cut where neighbours would show."""
    forms = [needle, needle.hex().encode(), needle.hex().upper().encode()]
    if needle.isascii():
        forms += [needle.decode().encode("utf-16-le"), needle.decode().encode("utf-16-be")]
    for shift in range(3):
        forms.append(base64.b64encode(b"\0" * shift + needle)[4 if shift else 0 : -4])
    return [form for form in forms if len(form) >= 7]


def _views(data: bytes) -> Iterator[bytes]:
    """The file, and whatever in it was compressed other than as pixels: any zlib stream outside PNG's IDAT."""
    yield data
    if data.startswith(b"\x89PNG"):
        data = re.sub(rb"(?s)IDAT.*(?=....IEND)", b"", data)
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data):
        with_errors = zlib.decompressobj()
        try:
            yield with_errors.decompress(data[match.start() :], 2**22)
        except zlib.error:
            continue


_SIGNATURES = re.compile(
    rb"\xff\xd8\xff[\xc0-\xef\xfe]|\x89PNG\r\n\x1a\n|RIFF....WEBP|ftyp(?:hei[cxs]|mif1|avi[fs])", re.DOTALL)


def _pictures(data: bytes) -> int:
    """Beginnings of picture files; 1 for the file itself. TIFF's four bytes also begin EXIF, so it counts as none."""
    return len(_SIGNATURES.findall(data)) + data.startswith((b"II*\0", b"MM\0*"))


def read_tags(data: bytes) -> list[tuple[str, str]]:
    """("group:tag", value) of everything that exiftool sees, unknown tags and embedded files included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "written"
        path.write_bytes(data)
        command = ["exiftool", "-a", "-G1", "-s", "-t", "-ee", "-u", "-charset", "exif=utf8", "-charset", "iptc=utf8"]
        try:
            run = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=60)
        except FileNotFoundError as error:
            raise ExiftoolMissing("exiftool is not installed; on Debian or Ubuntu: apt-get install "
                                  "libimage-exiftool-perl. Nothing was inspected.") from error
    rows = [line.split("\t", 2) for line in run.stdout.splitlines()]
    return [(f"{row[0]}:{row[1]}", row[2]) for row in rows if len(row) == 3]


# What any file of the six formats says of its pixels. Patterns of "group:tag".
_PLAIN_TAGS = [
    r"ExifTool:ExifToolVersion", r"System:.*", r"File:(?!Comment).*", r"ICC.*:.*",
    r"Composite:(?:ImageSize|Megapixels)", r"JFIF:(?:JFIFVersion|ResolutionUnit|[XY]Resolution)",
    r"PNG:(?:ImageWidth|ImageHeight|BitDepth|ColorType|Compression|Filter|Interlace|ProfileName|SRGBRendering)",
    r"RIFF:(?:ImageWidth|ImageHeight|WebP_Flags|VP8Version|HorizontalScale|VerticalScale|AlphaIsUsed)",
    r"IFD0:(?:SubfileType|ImageWidth|ImageHeight|BitsPerSample|Compression|PhotometricInterpretation|StripOffsets|"
    r"SamplesPerPixel|RowsPerStrip|StripByteCounts|PlanarConfiguration|Predictor|ExtraSamples|SampleFormat|"
    r"Tile(?:Width|Length|Offsets|ByteCounts))",
    r"Meta:PrimaryItemReference",
    r"QuickTime:(?:MajorBrand|MinorVersion|CompatibleBrands|HandlerType|MediaData|MediaDataSize|MediaDataOffset|"
    r"ImageSpatialExtent|ImagePixelDepth|ChromaFormat|ColorProfiles|ColorPrimaries|"
    r"TransferCharacteristics|MatrixCoefficients|VideoFullRangeFlag|"
    r"AV1ConfigurationVersion|Seq(?:Profile|LevelIdx0|Tier0)|HighBitDepth|TwelveBit|ChromaSamplePosition|"
    r"InitialDelaySamples|HEVCConfigurationVersion|General(?:ProfileSpace|TierFlag|ProfileIDC|LevelIDC)|"
    r"GenProfileCompatibilityFlags|ConstraintIndicatorFlags|MinSpatialSegmentationIDC|ParallelismType|"
    r"BitDepth(?:Luma|Chroma)|AverageFrameRate|ConstantFrameRate|NumTemporalLayers|TemporalIDNested)",
]  # fmt: skip
_CREDIT_PATTERNS = [
    *(re.escape(tag) for carriers in CREDIT_TAGS.values() for tag in carriers),
    r"IPTC:(?:CodedCharacterSet|ApplicationRecordVersion)", r"XMP-iptcExt:DigitalSourceType",
]  # fmt: skip
