"""The boxes of HEIC and AVIF: what the primary picture is, and what else the file shows.

Source: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (pictures and their properties), ISO/IEC 23091-2 (code points).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_PICTURE_TYPES = {b"hvc1", b"hev1", b"av01", b"avc1", b"vvc1", b"jpeg", b"j2k1", b"unci", b"grid", b"iden", b"iovl",
                  b"tmap"}
_MAX_DEPTH_OF_REFERENCES = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """The primary picture of a file."""

    size: tuple[int, int]  # width, height as shown: a grid's whole, before turns
    bits: int  # per channel
    channels: int  # without alpha
    pictures: int  # that stand for themselves, this one included
    is_sequence: bool
    is_cropped: bool  # by `clap`
    has_gain_map: bool
    primaries: int | None  # code points of `nclx`; None where the file has none
    transfer: int | None


@dataclass(slots=True)
class _Meta:
    """The `meta` box as tables."""

    primary: int
    types: dict[int, bytes]  # item -> type
    hidden: set[int]
    references: list[tuple[bytes, int, tuple[int, ...]]]  # type, from, to
    properties: dict[int, list[tuple[bytes, bytes]]]  # item -> (type, body)
    groups: list[tuple[bytes, tuple[int, ...]]]  # type, items


def read_picture(data: bytes) -> Picture:
    """What is known before decoding.

    Raises:
        ValueError: cut off, or without a primary picture; says which.
        struct.error: a box ends early.
    """
    top = dict(_boxes(data, 0, len(data), is_whole=True))
    if b"meta" not in top:
        raise ValueError("no table of contents (meta)")
    meta = _meta(top[b"meta"][4:])
    if meta.types.get(meta.primary) not in _PICTURE_TYPES:
        raise ValueError("no primary picture")
    own = meta.properties.get(meta.primary, [])
    # A grid keeps some properties on its tiles only; the first tile speaks for all.
    tile = meta.properties.get(next(iter(_derived_from(meta, meta.primary)), -1), [])
    size = next((struct.unpack_from(">II", body, 4) for kind, body in own if kind == b"ispe"), (0, 0))
    nclx = next((body for kind, body in [*own, *tile] if kind == b"colr" and body[:4] == b"nclx"), None)
    gain = any(kind == b"tmap" for kind in meta.types.values()) or any(
        kind == b"auxC" and b"gainmap" in body.lower() for items in meta.properties.values() for kind, body in items)
    return Picture(
        size=size,
        bits=_bits(own) or _bits(tile) or 8,
        channels=next((body[4] for kind, body in [*own, *tile] if kind == b"pixi" and len(body) > 5), 3),
        pictures=len(_standing(meta)),
        is_sequence=b"moov" in top,
        is_cropped=any(kind == b"clap" for kind, _ in own),
        has_gain_map=gain,
        primaries=None if nclx is None else struct.unpack_from(">H", nclx, 4)[0],
        transfer=None if nclx is None else struct.unpack_from(">H", nclx, 6)[0],
    )


def _standing(meta: _Meta) -> set[int]:
    """Pictures that are neither hidden, nor part of another, nor said to be an alternative to the primary one."""
    found = {item for item, kind in meta.types.items() if kind in _PICTURE_TYPES} - meta.hidden
    for kind, source, targets in meta.references:
        if kind in (b"thmb", b"auxl"):
            found.discard(source)
        if kind in (b"dimg", b"base"):
            found -= set(targets)
        if meta.types.get(source) == b"tmap":  # the same picture with its gain map applied
            found.discard(source)
    for kind, items in meta.groups:
        if kind == b"altr" and meta.primary in items:
            found -= set(items)
    return found | {meta.primary}


def _derived_from(meta: _Meta, item: int) -> tuple[int, ...]:
    """The codeable items at the bottom of a derivation."""
    for _ in range(_MAX_DEPTH_OF_REFERENCES):
        below = next((to for kind, source, to in meta.references if kind == b"dimg" and source == item and to), ())
        if not below:
            return (item,)
        item = below[0]
    return ()


def _bits(properties: list[tuple[bytes, bytes]]) -> int:
    """Bits per channel; 0 where these properties do not say."""
    for kind, body in properties:
        if kind == b"pixi" and len(body) > 5:
            return max(body[5 : 5 + body[4]])
    for kind, body in properties:
        if kind == b"av1C":  # AV1-ISOBMFF, 2.3.3: high_bitdepth, twelve_bit
            return 8 + (body[2] >> 6 & 1) * (2 + 2 * (body[2] >> 5 & 1))
        if kind == b"hvcC":  # ISO/IEC 14496-15, 8.3.3.1: bitDepthLumaMinus8
            return 8 + (body[17] & 7)
    return 0


def _boxes(data: bytes, at: int, end: int, *, is_whole: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of each box; of the file itself (`is_whole`) only those whose content is read here."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise ValueError("it is cut off" if is_whole else f"the box {kind!r} is longer than what holds it")
        yield kind, data[at + head : at + size] if not is_whole or kind == b"meta" else b""
        at += size
    if is_whole and at != end and any(data[at:end]):
        raise ValueError("it is cut off")


def _meta(body: bytes) -> _Meta:
    parts = dict(_boxes(body, 0, len(body)))
    types, hidden = _items(parts.get(b"iinf", bytes(6)))
    pitm = parts.get(b"pitm", b"")
    primary = int.from_bytes(pitm[4:6] if pitm[:1] == b"\0" else pitm[4:8], "big")
    groups = []
    for kind, group in _boxes(parts.get(b"grpl", b""), 0, len(parts.get(b"grpl", b""))):
        (count,) = struct.unpack_from(">I", group, 8)
        groups.append((kind, struct.unpack_from(f">{count}I", group, 12)))
    return _Meta(primary, types, hidden, _references(parts.get(b"iref", bytes(4))),
                 _properties(parts.get(b"iprp", b"")), groups)


def _items(iinf: bytes) -> tuple[dict[int, bytes], set[int]]:
    types: dict[int, bytes] = {}
    hidden = set()
    for kind, body in _boxes(iinf, 6 if iinf[0] == 0 else 8, len(iinf)):
        if kind == b"infe" and body[0] >= 2:
            wide = body[0] > 2
            item = int.from_bytes(body[4 : 8 if wide else 6], "big")
            types[item] = body[10:14] if wide else body[8:12]
            if body[3] & 1:
                hidden.add(item)
    return types, hidden


def _references(iref: bytes) -> list[tuple[bytes, int, tuple[int, ...]]]:
    code = "H" if iref[0] == 0 else "I"
    found = []
    for kind, body in _boxes(iref, 4, len(iref)):
        source, count = struct.unpack_from(f">{code}H", body)
        found.append((kind, source, struct.unpack_from(f">{count}{code}", body, struct.calcsize(f">{code}H"))))
    return found


def _properties(iprp: bytes) -> dict[int, list[tuple[bytes, bytes]]]:
    every: list[tuple[bytes, bytes]] = []
    found: dict[int, list[tuple[bytes, bytes]]] = {}
    for kind, body in _boxes(iprp, 0, len(iprp)):
        if kind == b"ipco":
            every = list(_boxes(body, 0, len(body)))
        elif kind == b"ipma":
            is_wide_item, is_wide_index = body[0] > 0, body[3] & 1
            (count,) = struct.unpack_from(">I", body, 4)
            at = 8
            for _ in range(count):
                item, number = struct.unpack_from(">IB" if is_wide_item else ">HB", body, at)
                at += 5 if is_wide_item else 3
                indices = struct.unpack_from(f">{number}{'H' if is_wide_index else 'B'}", body, at)
                at += number * (2 if is_wide_index else 1)
                mask = 0x7FFF if is_wide_index else 0x7F  # the top bit says that a reader must know the property
                chosen = [every[(i & mask) - 1] for i in indices if i & mask]
                found.setdefault(item, []).extend(chosen)
    return found
