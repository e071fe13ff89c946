"""How covers look, and when: what shapes the output besides the tracks, stored in the settings of a plan."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloak.errors import PlanInvalid, SettingsInvalid

STYLES = ("solid", "mosaic", "blur", "ring", "picture")


@dataclass(frozen=True, slots=True)
class Look:
    """Values are checked when it is made."""

    style: str = "solid"
    colour: tuple[int, int, int] = (0, 0, 0)  # RGB, of `solid`, and of what stands around or shines through a picture
    picture: Path | None = None  # of `picture`; a photo or drawing with or without alpha
    paranoid: bool = False  # cover the whole frame while a track is lost
    start_s: float = 0.0  # before it nothing is covered
    end_s: float | None = None  # from it on nothing is covered

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise SettingsInvalid(f"style is {self.style!r}; choose one of {', '.join(STYLES)}. Nothing was written.")
        if len(self.colour) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in self.colour):
            raise SettingsInvalid(f"colour is {self.colour!r}; give red, green and blue from 0 to 255. "
                                  "Nothing was written.")
        end = math.inf if self.end_s is None else self.end_s
        if not 0 <= self.start_s < end or math.isnan(end):
            raise SettingsInvalid(f"the span from {self.start_s} to {self.end_s} seconds holds nothing. "
                                  "Nothing was written.")

    @property
    def has_span(self) -> bool:
        """Whether some of the clip is left as it is on purpose."""
        return self.start_s > 0 or self.end_s is not None

    def is_within(self, seconds: float) -> bool:
        """Whether faces are covered in a frame shown at this time from the first."""
        return self.start_s <= seconds and (self.end_s is None or seconds < self.end_s)

    def to_dict(self) -> dict[str, Any]:
        """JSON types; of the picture its file name without folder."""
        return {**dataclasses.asdict(self), "colour": list(self.colour),
                "picture": None if self.picture is None else self.picture.name}

    @classmethod
    def from_dict(cls, fields: object, *, named: str) -> Look:
        """The look in a plan; a picture is a bare name there and has to be given again.

        Raises:
            PlanInvalid: not what `to_dict` makes.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != names:
            raise PlanInvalid(f"{named}: settings.look does not hold {', '.join(sorted(names))} and nothing else. "
                              "Nothing was written.")
        try:
            colour, picture, end = fields["colour"], fields["picture"], fields["end_s"]
            if type(fields["paranoid"]) is not bool:
                raise ValueError(f"paranoid is {fields['paranoid']!r}")
            return cls(fields["style"], tuple(colour), None if picture is None else Path(picture), fields["paranoid"],
                       float(fields["start_s"]), None if end is None else float(end))
        except (TypeError, ValueError) as error:
            raise PlanInvalid(f"{named}: settings.look: {error}") from error


def parse_colour(text: str) -> tuple[int, int, int]:
    """`"#ff8800"`, or `"black"`, `"white"`, `"grey"`."""
    digits = {"black": "#000000", "white": "#ffffff", "grey": "#808080"}.get(text, text).removeprefix("#")
    try:
        if len(digits) != 6:
            raise ValueError
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        raise SettingsInvalid(f"--colour is {text!r}; give #RRGGBB, black, white or grey. "
                              "Nothing was written.") from None
    return red, green, blue
