"""What a person decided, face by face, and the small JSON that says it.

    {"schema": "facecloak-choices/1",
     "photos": {"march.jpg": {"default": "redact solid",
                              "faces": {"1": "keep", "3": "cloak strong"},
                              "regions": [{"x": 10, "y": 20, "width": 60, "height": 80, "treatment": "redact ring"}]}}}

Face numbers are those of `cloak faces`; regions are pixels of the upright photo. `sha256`, where it stands, ties the
numbers to the very file they were read from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloak.errors import ChoicesInvalid
from cloak.types import STRENGTHS, STYLES, Photo, Treatment

SCHEMA = "facecloak-choices/1"

_WORDS = "cloak, cloak light|balanced|strong, redact solid|mosaic|blur|ring, or keep"
_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle that a person drew where no detector saw a face: always covered, for a cloak needs a face."""

    x: int  # of the top-left pixel, in the upright photo
    y: int
    width: int
    height: int
    treatment: Treatment = Treatment("redact", "solid")

    def __post_init__(self) -> None:
        for name in ("x", "y", "width", "height"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**31:
                raise ChoicesInvalid(f"a region's {name} is {value!r}; give whole pixels. Nothing was written.")
        if self.width < 1 or self.height < 1:
            raise ChoicesInvalid(f"a region is {self.width} x {self.height} pixels; it needs a size. "
                                 "Nothing was written.")
        if self.treatment.kind != "redact":
            raise ChoicesInvalid(f"a region is to be treated with {str(self.treatment)!r}; it can only be redacted, "
                                 "because a cloak needs a face that was found. Nothing was written.")

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) x1 y1 x2 y2, half-open."""
        return np.array([self.x, self.y, self.x + self.width, self.y + self.height], np.float32)


@dataclass(frozen=True, slots=True)
class Choices:
    """What happens to the faces of one photo."""

    default: Treatment = Treatment("cloak", "balanced")
    faces: Mapping[int, Treatment] = field(default_factory=lambda: MappingProxyType({}))  # number -> treatment
    regions: tuple[Region, ...] = ()
    sha256: str | None = None  # of the file the numbers were read from

    @property
    def is_by_person(self) -> bool:
        """Whether somebody chose faces in this very photo."""
        return bool(self.faces or self.regions)

    def of(self, photo: Photo, count: int) -> list[Treatment]:
        """The treatment of each of the `count` faces found in the photo.

        Raises:
            ChoicesInvalid: the choices speak of a face or region that this photo does not have.
        """
        if self.sha256 is not None and self.sha256 != photo.sha256:
            raise ChoicesInvalid(f"{photo.path}: the choices were made for another file (sha256 {self.sha256[:12]}..., "
                                 f"this one is {photo.sha256[:12]}...), so their numbers may mean other faces. List "
                                 "the faces again. Nothing was written.")
        if unknown := sorted(number for number in self.faces if not 1 <= number <= count):
            found = "no face was" if not count else "1 face was" if count == 1 else f"{count} faces were"
            raise ChoicesInvalid(f"{photo.path}: face {', '.join(map(str, unknown))} was named, but {found} found. "
                                 "`cloak faces` shows the numbers. Nothing was written.")
        height, width = photo.pixels.shape[:2]
        for region in self.regions:
            if region.x >= width or region.y >= height or region.x + region.width <= 0 or region.y + region.height <= 0:
                raise ChoicesInvalid(f"{photo.path}: the region {region.x},{region.y},{region.width},{region.height} "
                                     f"lies outside the photo of {width} x {height} pixels. Nothing was written.")
        return [self.faces.get(number, self.default) for number in range(1, count + 1)]


def parse_treatment(text: str, *, strength: str = "balanced", style: str = "solid") -> Treatment:
    """`"cloak strong"`, `"redact ring"`, `"keep"`; `"cloak"` and `"redact"` alone take the defaults given.

    A style alone (`"solid"`) is a redaction.
    """
    words = text.split() if isinstance(text, str) else []
    match words:
        case ["keep"]:
            return Treatment("keep")
        case ["cloak"]:
            return Treatment("cloak", strength)
        case ["cloak", how] if how in STRENGTHS:
            return Treatment("cloak", how)
        case ["redact"]:
            return Treatment("redact", style)
        case ["redact", how] | [how] if how in STYLES:
            return Treatment("redact", how)
    raise ChoicesInvalid(f"treatment is {text!r}; choose {_WORDS}. Nothing was written.")


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """`"2,5"` as face numbers."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = (0,)
    if min(numbers) < 1:
        raise ChoicesInvalid(f"{option} is {text!r}; give the numbers of `cloak faces`, as in 2,5. "
                             "Nothing was written.")
    return numbers


def parse_region(text: str, treatment: Treatment) -> Region:
    """`"x,y,w,h"` in pixels of the upright photo."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise ChoicesInvalid(f"--regions is {text!r}; give x,y,width,height in whole pixels, as in 120,40,60,80. "
                             "Nothing was written.") from None
    return Region(x, y, width, height, treatment)


def read_choices(path: Path, *, default: Treatment) -> dict[str, Choices]:
    """The choices in a file, by the photo's name; `default` for photos whose entry names none.

    Raises:
        ChoicesInvalid: unreadable, no JSON, another schema, an unknown field or treatment.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ChoicesInvalid(f"{path}: more than {_MAX_BYTES:,} bytes, which no list of choices needs. "
                                 "Nothing was written.")
        fields = json.loads(path.read_text("utf-8"), object_pairs_hook=_once_each)
    except (OSError, ValueError, RecursionError) as error:
        raise ChoicesInvalid(f"{path}: no choices can be read from it ({error}). Nothing was written.") from error
    try:
        if not isinstance(fields, dict) or fields.pop("schema", None) != SCHEMA:
            raise ChoicesInvalid(f'no "schema": "{SCHEMA}"')
        photos = _object(fields.pop("photos", None), "photos")
        _nothing_else(fields, "the document")
        return {name: _photo(name, _object(one, name), default) for name, one in photos.items()}
    except ChoicesInvalid as error:
        what = str(error).removesuffix(" Nothing was written.").removesuffix(".")
        raise ChoicesInvalid(f"{path}: {what}. Nothing was written.") from None


def to_json(photos: Mapping[str, Choices]) -> str:
    """The document that `read_choices` reads: a form to fill in."""
    return json.dumps({"schema": SCHEMA, "photos": {
        name: {
            **({} if one.sha256 is None else {"sha256": one.sha256}),
            "default": str(one.default),
            "faces": {str(number): str(treatment) for number, treatment in sorted(one.faces.items())},
            "regions": [{"x": r.x, "y": r.y, "width": r.width, "height": r.height, "treatment": str(r.treatment)}
                        for r in one.regions],
        } for name, one in photos.items()}}, indent=2) + "\n"


def _photo(name: str, fields: dict[str, Any], default: Treatment) -> Choices:
    if "default" in fields:
        default = parse_treatment(fields.pop("default"))
    style = default.how if default.kind == "redact" else "solid"
    strength = default.how if default.kind == "cloak" else "balanced"
    faces = {}
    for number, treatment in _object(fields.pop("faces", {}), f"{name}: faces").items():
        if not (number.isascii() and number.isdigit()) or int(number) < 1:
            raise ChoicesInvalid(f"{name}: {number!r} is no face number")
        if int(number) in faces:
            raise ChoicesInvalid(f"{name}: face {int(number)} stands there twice")
        faces[int(number)] = parse_treatment(treatment, strength=strength, style=style)
    regions = []
    drawn = fields.pop("regions", [])
    if not isinstance(drawn, list):
        raise ChoicesInvalid(f"{name}: regions is no list")
    for one in drawn:
        region = dict(_object(one, f"{name}: a region"))
        treatment = parse_treatment(region.pop("treatment", f"redact {style}"), style=style)
        x, y, width, height = (region.pop(key, None) for key in ("x", "y", "width", "height"))
        _nothing_else(region, f"{name}: a region")
        regions.append(Region(x, y, width, height, treatment))
    sha256 = fields.pop("sha256", None)
    if sha256 is not None and not isinstance(sha256, str):
        raise ChoicesInvalid(f"{name}: sha256 is {sha256!r}")
    _nothing_else(fields, name)
    return Choices(default, MappingProxyType(faces), tuple(regions), sha256)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a name stand twice and the last one win; a face must not be kept by such an accident."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands there twice")
    return fields


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ChoicesInvalid(f"{where} is {type(value).__name__}, expected an object")
    return value


def _nothing_else(fields: Mapping[str, Any], where: str) -> None:
    if fields:
        raise ChoicesInvalid(f"{where} has unknown fields: {', '.join(sorted(map(str, fields)))}")
