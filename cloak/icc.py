"""What of a colour profile a picture needs: its colours.

A profile may name the display or scanner it was made for, with serial number, date and whatever its program added: a
Mac writes the model and serial of the screen into a private tag. So a profile is written anew from an allow-list of
tags that turn numbers into colours. Conversions stay the same to the last bit; its name stays where all the world
uses it, everything else in words or private tags is left out.

Source: ICC.1:2022 (profile version 4.4), chapters 7, 9 and 10; ICC.1:2001-04 for `desc` and `text` of version 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Colorants, curves, tables and the white they refer to. Not: luminance and measurements of one display, names, dates.
_COLOUR_TAGS = (b"wtpt", b"bkpt", b"chad", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"cicp",
                b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2", b"gamt")  # fmt: skip
_TABLES = (b"mft1", b"mft2", b"mAB ", b"mBA ")
_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")
_PARAMETERS = (1, 3, 4, 5, 7)  # numbers of a parametric curve, by its function type (table 68)
_MAX_TAGS = 100  # the largest in use have about forty

_DATE = struct.pack(">6H", 1998, 2, 9, 6, 49, 0)  # that of the commonest sRGB profile, for all

_NEEDED = {b"RGB ": (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}

# Spaces that anybody may work in, by the names their profiles give themselves. No display is called so by itself.
_KNOWN_NAMES = {
    "sRGB", "sRGB IEC61966-2.1", "sRGB IEC61966-2-1 black scaled", "sRGB built-in", "sRGB v4 ICC preference", "c2",
    "c2ci", "Display P3", "sP3C", "Adobe RGB (1998)", "Compatible with Adobe RGB (1998)", "AdobeCompat-v2",
    "ProPhoto RGB", "Apple RGB", "ColorMatch RGB", "eciRGB v2", "Rec. ITU-R BT.709-5", "Rec. ITU-R BT.2020-1",
    "Gray Gamma 2.2", "Gray Gamma 1.8", "Dot Gain 10%", "Dot Gain 15%", "Dot Gain 20%", "Dot Gain 25%", "Dot Gain 30%",
    "Generic Gray Gamma 2.2 Profile", "Generic Gray Profile", "Generic RGB Profile", "sGrey",
}  # fmt: skip


def colours_only(profile: bytes) -> bytes | None:
    """`profile` rebuilt from the tags that say what its numbers look like, or None where they do not suffice.

    The same profile gives the same bytes, and a profile made here stays as it is. RGB and grey only. No word, date,
    identifier or private tag of `profile` is in the result, but for a name that is in use everywhere; only inside the
    numbers of lookup tables would there be room to hide something.
    """
    space = profile[16:20]
    if len(profile) < 132 or profile[36:40] != b"acsp" or profile[12:16] not in _CLASSES or space not in _NEEDED:
        return None
    try:
        found = {name: body for name, body in _tags(profile) if name in _COLOUR_TAGS + (b"desc",)}
        name = _name(found.pop(b"desc", b""))
        kept = {name: value for name, body in found.items() if (value := _value(body))}
    except (struct.error, ValueError):  # it ends early, or says what cannot be
        return None
    has_curves = all(tag in kept for tag in _NEEDED[space])
    if b"wtpt" not in kept or not (has_curves or b"A2B0" in kept):
        return None
    is_version_4 = profile[8] >= 4
    # Both are required of every profile (8.2).
    words = {b"desc": _description(name or {b"RGB ": "RGB", b"GRAY": "Grey"}[space], is_version_4=is_version_4),
             b"cprt": _copyright(is_version_4=is_version_4)}  # fmt: skip
    return _assembled(profile, words | {tag: kept[tag] for tag in _COLOUR_TAGS if tag in kept})


def _tags(profile: bytes) -> Iterator[tuple[bytes, bytes]]:
    size, count = struct.unpack_from(">I", profile)[0], struct.unpack_from(">I", profile, 128)[0]
    if size > len(profile) or count > _MAX_TAGS:
        raise ValueError("a profile that ends early")
    for i in range(count):
        name, at, length = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if at + length > size:
            raise ValueError("a tag that ends early")
        yield name, profile[at : at + length]


def _value(body: bytes) -> bytes:
    """A tag's value without what follows it; empty where its type is none that says colours."""
    kind = body[:4]
    if kind == b"XYZ ":
        length = 20
    elif kind == b"curv":
        length = 12 + 2 * int(struct.unpack_from(">I", body, 8)[0])
    elif kind == b"para":
        function = int(struct.unpack_from(">H", body, 8)[0])
        if function >= len(_PARAMETERS):
            raise ValueError("a curve of an unknown type")
        length = 12 + 4 * _PARAMETERS[function]
    elif kind == b"sf32":
        length = 44  # a 3 x 3 matrix: the chromatic adaptation
    elif kind == b"cicp":
        length = 12
    else:
        return body if kind in _TABLES else b""
    if len(body) < length:
        raise ValueError("a value that ends early")
    return kind + b"\0\0\0\0" + body[8:length]


def _name(body: bytes) -> str:
    """The description where it is a name that everybody's profile has; "" for any other."""
    text = ""
    if body[:4] == b"desc":
        (length,) = struct.unpack_from(">I", body, 8)
        text = body[12 : 12 + length].rstrip(b"\0").decode("ascii", "replace")
    elif body[:4] == b"mluc":
        length, at = struct.unpack_from(">II", body, 20)
        text = body[at : at + length].decode("utf-16-be", "replace").rstrip("\0")
    return text if text in _KNOWN_NAMES else ""


def _description(text: str, *, is_version_4: bool) -> bytes:
    if is_version_4:
        return _multilingual(text)
    ascii = text.encode("ascii") + b"\0"
    # Then the same in Unicode and in a script of the Macintosh, both empty, the latter in 67 bytes of its own.
    return b"desc\0\0\0\0" + struct.pack(">I", len(ascii)) + ascii + b"\0" * (4 + 4 + 2 + 1 + 67)


def _copyright(*, is_version_4: bool) -> bytes:
    return _multilingual("None") if is_version_4 else b"text\0\0\0\0None\0"


def _multilingual(text: str) -> bytes:
    raw = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(raw), 28) + raw


def _assembled(profile: bytes, tags: dict[bytes, bytes]) -> bytes:
    at = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}  # the three curves are usually one, and stand in the file once
    for name, value in tags.items():
        if value not in places:
            places[value] = at + len(body)
            body += value + b"\0" * (-len(value) % 4)
        table += struct.pack(">4sII", name, places[value], len(value))
    # Kept: version, class, space, connection space, rendering intent and illuminant. Zero: the colour engine,
    # platform, flags, maker, model, attributes, creator and identifier (7.2). A date there must be.
    header = bytearray(128)
    header[0:4], header[24:36] = struct.pack(">I", at + len(body)), _DATE
    for start, end in ((8, 10), (12, 24), (36, 40), (64, 80)):
        header[start:end] = profile[start:end]
    return bytes(header) + table + body
