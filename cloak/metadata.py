"""Who made a photo and on what terms: the only words of a file that may go with its pixels.

An allow-list. Three kinds of block can carry words; of each, the fields below are read and nothing else is looked
at, so whatever a camera maker invents next is left behind without being known here:

    field         XMP                     IIM (dataset, most octets)    EXIF (IFD0)
    creator       dc:creator              2:80 By-line, 32 each         315 Artist
    credit        photoshop:Credit        2:110 Credit, 32
    copyright     dc:rights               2:116 Copyright Notice, 128   33432 Copyright
    caption       dc:description          2:120 Caption, 2000           270 ImageDescription
    headline      photoshop:Headline      2:105 Headline, 256
    usage terms   xmpRights:UsageTerms
    source        photoshop:Source        2:115 Source, 32

Where blocks disagree, each field comes from the first of XMP, IIM, EXIF that has it. The mapping is that of the IPTC
Photo Metadata Standard and of the Metadata Working Group's guidelines 2.0, chapter 5. The order is the standard's: XMP
is its current form, IIM cuts at the octets above, EXIF knows three fields. The guidelines would ask EXIF first for
these three; that is not followed, because EXIF is what cameras fill in by themselves. Nor is their digest, by which an
IIM block edited after its XMP would win: the two are then told apart by nothing a reader could see.

What an allow-list cannot do: it keeps what people wrote. A name, a place or a serial number typed into a caption is
published with it. Only captions that machines write are told apart, see `_is_written_by_a_machine`.

Sources: Adobe XMP specification parts 1 and 3 (2012); IPTC-NAA IIM 4.2; TIFF 6.0; EXIF 2.32 and 3.0, 4.6.
"""

from __future__ import annotations

import itertools
import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args
from xml.parsers import expat
from xml.sax.saxutils import escape

# `humanEdits`: a person changed it with non-generative tools. `algorithmicallyEnhanced`: an algorithm did. Both as of
# the vocabulary's release of 2024-10-23. Source: https://cv.iptc.org/newscodes/digitalsourcetype/
SourceType: TypeAlias = Literal["algorithmicallyEnhanced", "humanEdits"]

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"

# Photoshop lets ancestors and histories grow an XMP packet to megabytes; more than this is not read at all.
MAX_BLOCK_BYTES = 4 * 2**20

# The most characters of a value. All fields at their limit, each character written at its longest, still fit the
# 65,533 bytes of one JPEG segment.
_MOST = {"creator": 100, "credit": 250, "copyright": 1000, "caption": 2000, "headline": 500, "usage_terms": 2000,
         "source": 250}
_MOST_CREATORS = 20
_MOST_VALUES = 100  # of one field that are looked at, before empty and repeated ones are left out


@dataclass(frozen=True, slots=True)
class Credit:
    """What may be published beside the pixels. Empty values say that there was none."""

    creator: tuple[str, ...] = ()
    credit: str = ""
    copyright: str = ""
    caption: str = ""
    headline: str = ""
    usage_terms: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Blocks:
    """A `Credit` as the three blocks that files carry; empty bytes where there is nothing to say."""

    exif: bytes  # from the TIFF header on, without "Exif\0\0"
    xmp: bytes  # the packet, UTF-8
    iptc: bytes  # bare IIM datasets, without the Photoshop resource around them


def read_credit(*, exif: bytes | None, iptc: bytes | None, xmp: bytes | None) -> Credit:
    """The allow-listed fields of the blocks of one photo, each from the first block that has it.

    Never raises for what a file holds: a block that is cut off, contradicts itself or is larger than
    `MAX_BLOCK_BYTES` gives nothing at all, because half of a damaged block would be a guess.

    Args:
        exif: with or without "Exif\\0\\0" before its TIFF header.
        iptc: bare IIM datasets, or the Photoshop resources ("8BIM") that hold them.
        xmp: the packet, UTF-8, UTF-16 or UTF-32.
    """
    found = [
        {name: _cleaned(name, values) for name, values in read(block).items()}
        for read, block in ((_read_xmp, xmp), (_read_iim, iptc), (_read_exif, exif))
        if block and len(block) <= MAX_BLOCK_BYTES
    ]

    def first(name: str) -> tuple[str, ...]:
        return next((values[name] for values in found if values.get(name)), ())

    return Credit(creator=first("creator"), **{name: "".join(first(name)) for name in _MOST if name != "creator"})


def blocks(credit: Credit, source_type: SourceType | None) -> Blocks:
    """The three blocks, made from nothing but the arguments.

    The same arguments give the same bytes: no date, no identifier, no name of a tool, no history. Values are cleaned
    and bounded as `read_credit` does; IIM and EXIF hold what they have a place for, IIM no more than its octets.

    Args:
        source_type: how the picture came to be as it is, a term of IPTC's vocabulary; None says nothing about it.
    """
    if source_type is not None and source_type not in get_args(SourceType):
        raise ValueError(f"source type is {source_type!r}, expected one of {', '.join(get_args(SourceType))} or None")
    values = {name: _cleaned(name, [getattr(credit, name)]) for name in _MOST if name != "creator"}
    values["creator"] = _cleaned("creator", credit.creator)
    return Blocks(exif=_write_exif(values), xmp=_write_xmp(values, source_type), iptc=_write_iim(values))


# --- values ------------------------------------------------------------------------------------------------------

_Values: TypeAlias = dict[str, tuple[str, ...]]
_Found: TypeAlias = dict[str, list[str]]


def _cleaned(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """The values of one field that are left when each is made one plain, bounded line; one, but for creators."""
    lines = (_one_line(value, _MOST[name]) for value in itertools.islice(values, _MOST_VALUES))
    kept = [line for line in lines if line and not (name == "caption" and _is_written_by_a_machine(line))]
    return tuple(dict.fromkeys(kept))[: _MOST_CREATORS if name == "creator" else 1]


def _one_line(text: str, most: int) -> str:
    """`text` without what cannot be seen, on one line, cut at `most` characters."""
    text = text[: 10 * most]  # of what is longer only the beginning is looked at
    seen = "".join(character for character in text if character.isspace() or _is_visible(character))
    return " ".join(seen.split())[:most].rstrip()


def _is_visible(character: str) -> bool:
    """Whether a reader could notice it, or a script needs it. What nobody sees can carry a number unnoticed."""
    if character in "\u200c\u200d\u200e\u200f":  # joiners and direction marks: Persian, Hindi, Hebrew, emoji
        return True
    code = ord(character)
    if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:  # never characters, and no XML
        return False
    # Controls, other format marks, private use, surrogates; tags and the supplementary variation selectors.
    return unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs") and not 0xE0000 <= code <= 0xE0FFF


# What cameras and their programs write where a caption belongs. Some name the maker, the file or the sensor's state.
_DEFAULT_CAPTION = re.compile(
    r"""(?:
      (?:[A-Z]+\ )*DIGITAL\ (?:STILL\ )?CAMERA      # OLYMPUS, MINOLTA, KONICA MINOLTA, KODAK ... DIGITAL CAMERA
    | SONY\ DSC | SAMSUNG | SAMSUNG\ CAMERA\ PICTURES | EXIF_JPEG_PICTURE | JPEG_PICTURE | <[^<>]*> | DEFAULT | ASCII
    | SCREENSHOT | APPLEMARK | CHARSET=\S+ | UNTITLED | NONE | NULL | UNKNOWN
    | PROCESSED\ WITH\ VSCO.* | CREATED\ WITH\ (?:THE\ )?GIMP | CREATOR:\ .* | IMAGEJ=.* | LEAD\ TECHNOLOGIES.* | \{.*\}
    | (?:.*[\\/])?[\w()-]+\.(?:JPE?G|HEIC|HEIF|PNG|TIFF?|DNG|MP4|WEBP|AVIF|ARW|NEF|CR[23]|ORF|RW2)   # a file's name
    | [A-Z]{3,4}_?\d{3,}(?:[_-]\d+)*               # the same, without its ending
    | (?:[\w-]+:\ ?[^:;]*;\ ?){3,}.*                # name: value; name: value; ... of Android's camera programs
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def _is_written_by_a_machine(caption: str) -> bool:
    return _DEFAULT_CAPTION.fullmatch(caption) is not None


def _decoded(raw: bytes) -> str:
    """Text whose encoding the file does not say: UTF-8 where it is that, else Latin-1, in which nothing is invalid."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# --- XMP ---------------------------------------------------------------------------------------------------------

_NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_XMP_FIELDS = {
    "creator": ("dc:creator", "Seq"),
    "credit": ("photoshop:Credit", None),
    "copyright": ("dc:rights", "Alt"),
    "caption": ("dc:description", "Alt"),
    "headline": ("photoshop:Headline", None),
    "usage_terms": ("xmpRights:UsageTerms", "Alt"),
    "source": ("photoshop:Source", None),
}


def _expanded(name: str) -> str:
    """`prefix:local` as expat says it."""
    prefix, local = name.split(":")
    return f"{_NAMESPACES[prefix]} {local}"


_RDF, _DESCRIPTION, _LI = _expanded("rdf:RDF"), _expanded("rdf:Description"), _expanded("rdf:li")
_ARRAYS = {_expanded(f"rdf:{kind}") for kind in ("Alt", "Bag", "Seq")}
_FIELD_OF = {_expanded(name): key for key, (name, _) in _XMP_FIELDS.items()}
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_MAX_DEPTH = 64  # of elements; regions within structures within arrays reach about a dozen

# A packet has no use for a document type, and with it go entities: their expansion, their files, their addresses.
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")


class _NotXmp(ValueError):
    """A packet that must not be read on. Caught in `_read_xmp`."""


@dataclass(slots=True)
class _Packet:
    """Collects allow-listed properties while expat walks the packet; holds nothing else of it."""

    found: _Found = field(default_factory=dict)
    _path: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _language: str = ""
    _is_plain: bool = True  # no element within the one whose text is collected

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _MAX_DEPTH:
            raise _NotXmp("nested too deep")
        self._path.append(name)
        self._text.clear()
        self._is_plain = True
        self._language = attributes.get(_LANGUAGE, "")
        if self._path[-2:] == [_RDF, _DESCRIPTION]:
            for attribute, value in attributes.items():
                self._keep(attribute, value)

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        text, path = "".join(self._text), self._path
        if self._is_plain and path[-3:-1] == [_RDF, _DESCRIPTION]:
            self._keep(name, text)
        if self._is_plain and path[-5:-3] == [_RDF, _DESCRIPTION] and path[-2] in _ARRAYS and name == _LI:
            self._keep(path[-3], text, is_default=self._language == "x-default")
        self._path.pop()
        self._text.clear()
        self._is_plain = False

    def _keep(self, property: str, value: str, *, is_default: bool = False) -> None:
        """Default texts go first: of a field that is one text the first is taken."""
        if property in _FIELD_OF:
            values = self.found.setdefault(_FIELD_OF[property], [])
            if len(values) < _MOST_VALUES:
                values.insert(0 if is_default else len(values), value)


def _read_xmp(packet: bytes) -> _Found:
    properties = _Packet()
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    parser.StartElementHandler = properties.start
    parser.EndElementHandler = properties.end
    parser.CharacterDataHandler = properties.text
    try:
        text = _packet_text(packet)
        if _DECLARATION.search(text):
            return {}
        parser.Parse(text.encode("utf-8"), True)
    except (expat.ExpatError, UnicodeError, _NotXmp):
        return {}
    return properties.found


def _packet_text(packet: bytes) -> str:
    """By the byte order mark, or by where the zeros of the first "<" stand (XML 1.0, appendix F)."""
    for start, encoding in (
        (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
        (b"\xef\xbb\xbf", "utf-8-sig"), (b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"),
        (b"\0<", "utf-16-be"),
    ):  # fmt: skip
        if packet.startswith(start):
            return packet.decode(encoding).rstrip("\0")
    return packet.rstrip(b"\0").decode("utf-8")


def _write_xmp(values: _Values, source_type: SourceType | None) -> bytes:
    lines = []
    for key, (name, array) in _XMP_FIELDS.items():
        if values[key]:
            texts = [escape(text) for text in values[key]]
            if array:
                language = ' xml:lang="x-default"' if array == "Alt" else ""
                items = "".join(f"<rdf:li{language}>{text}</rdf:li>" for text in texts)
                texts = [f"<rdf:{array}>{items}</rdf:{array}>"]
            lines.append(f"<{name}>{texts[0]}</{name}>")
    if source_type:
        lines.append(f"<Iptc4xmpExt:DigitalSourceType>{_VOCABULARY}{source_type}</Iptc4xmpExt:DigitalSourceType>")
    if not lines:
        return b""
    prefixes = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items() if prefix != "rdf")
    # The identifier is the same in every packet of the world; programs find packets by it (part 1, 7.3.2).
    return "\n".join([
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_NAMESPACES["rdf"]}">',
        f'<rdf:Description rdf:about=""{prefixes}>',
        *lines,
        "</rdf:Description></rdf:RDF></x:xmpmeta>",
        '<?xpacket end="r"?>',
    ]).encode("utf-8")


# --- IIM ---------------------------------------------------------------------------------------------------------

_IIM_FIELDS = {80: ("creator", 32), 105: ("headline", 256), 110: ("credit", 32), 115: ("source", 32),
               116: ("copyright", 128), 120: ("caption", 2000)}
_UTF8, _LATIN1 = b"\x1b%G", (b"\x1b.A", b"\x1b-A")
_IIM_RESOURCE = 0x0404


def _read_iim(block: bytes) -> _Found:
    found: _Found = {}
    try:
        datasets = list(_datasets(_iim_in(block)))
        charsets = [value for record, number, value in datasets if (record, number) == (1, 90)]
        for record, number, value in datasets:
            if record == 2 and number in _IIM_FIELDS:
                text = _iim_text(value, charsets[0] if charsets else b"")
                found.setdefault(_IIM_FIELDS[number][0], []).append(text)
    except (struct.error, ValueError):
        return {}
    return found


def _iim_in(block: bytes) -> bytes:
    """The datasets themselves: `block`, or the first resource of Photoshop's that holds any."""
    block = block.removeprefix(b"Photoshop 3.0\0")
    at = 0
    while block.startswith(b"8BIM", at):
        kind, name_length = struct.unpack_from(">HB", block, at + 4)
        at += 7 + name_length + (name_length + 1) % 2  # the name and its length byte fill an even number of bytes
        (size,) = struct.unpack_from(">I", block, at)
        at += 4
        if at + size > len(block):
            raise ValueError("a resource ends early")
        if kind == _IIM_RESOURCE:
            return block[at : at + size]
        at += size + size % 2
    if at:
        return b""
    return block


def _datasets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(record, number, value) of each; zeros may fill the end, where TIFF counts in words."""
    at = 0
    while at < len(data):
        if data[at] == 0 and not data[at:].strip(b"\0"):
            return
        marker, record, number, size = struct.unpack_from(">BBBH", data, at)
        at += 5
        if marker != 0x1C:
            raise ValueError("not a dataset")
        if size & 0x8000:  # an extended dataset: the other bits count the bytes of the size
            count = size & 0x7FFF
            if count > 4 or at + count > len(data):
                raise ValueError("a size that is none")
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            raise ValueError("a dataset ends early")
        yield record, number, data[at : at + size]
        at += size


def _iim_text(value: bytes, charset: bytes) -> str:
    if charset == _UTF8:
        return value.decode("utf-8")
    return value.decode("latin-1") if charset in _LATIN1 else _decoded(value)


def _write_iim(values: _Values) -> bytes:
    fields = [
        (2, number, _cut(text, octets))
        for number, (name, octets) in _IIM_FIELDS.items()
        for text in values[name]
    ]
    if not fields:
        return b""
    datasets = [(1, 90, _UTF8), (2, 0, b"\0\4"), *fields]  # 2:0 is the version of record 2, always first
    return b"".join(struct.pack(">BBBH", 0x1C, *kind, len(value)) + value for *kind, value in datasets)


def _cut(text: str, octets: int) -> bytes:
    """As UTF-8, never ending inside a character."""
    return text.encode("utf-8")[:octets].decode("utf-8", "ignore").rstrip().encode("utf-8")


# --- EXIF --------------------------------------------------------------------------------------------------------

_EXIF_FIELDS = {270: "caption", 315: "creator", 33432: "copyright"}
_ASCII, _EXIF_UTF8 = 2, 129  # 129 came with EXIF 3.0


def _read_exif(block: bytes) -> _Found:
    """Only the first directory is looked at, so none that points back to it can be followed."""
    tiff = block.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return {}
    found: _Found = {}
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, size, where = struct.unpack_from(order + "HHII", tiff, at)
            name = _EXIF_FIELDS.get(tag)
            # The first of each tag only: 65,535 entries that share one long text would keep a computer busy for hours.
            if name is None or name in found or kind not in (_ASCII, _EXIF_UTF8):
                continue
            where = at + 8 if size <= 4 else where
            if where + size > len(tiff):
                return {}
            found[name] = _exif_texts(name, tiff[where : where + size])
    except struct.error:  # it ends early
        return {}
    return found


def _exif_texts(name: str, raw: bytes) -> list[str]:
    if name == "copyright":  # the photographer's, a zero, the editor's; a space stands for none (4.6.5)
        return ["; ".join(part for part in map(str.strip, map(_decoded, raw.split(b"\0"))) if part)]
    text = _decoded(raw.split(b"\0")[0])
    if name == "creator":  # several go into one text (Metadata Working Group 2.0, 5.1)
        return text.split(";")
    # Phones put codes for their camera modes here ("oznor", "rhdr"); a person's caption is more than one word.
    return [text] if " " in text.strip() or not text.isascii() else []


def _write_exif(values: _Values) -> bytes:
    """Little endian; entries in the order of their tags, then their values, each at an even offset (TIFF 6.0, 2)."""
    texts = {tag: "; ".join(values[name]).encode("utf-8") + b"\0" for tag, name in _EXIF_FIELDS.items() if values[name]}
    if not texts:
        return b""
    entries, tail = b"", b""
    for tag, text in texts.items():
        if len(text) <= 4:
            where = text.ljust(4, b"\0")
        else:
            where = struct.pack("<I", 8 + 2 + 12 * len(texts) + 4 + len(tail))
            tail += text + b"\0" * (len(text) % 2)
        entries += struct.pack("<HHI", tag, _ASCII, len(text)) + where
    return b"II*\0" + struct.pack("<IH", 8, len(texts)) + entries + b"\0\0\0\0" + tail
