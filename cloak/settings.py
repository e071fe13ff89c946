"""Frozen settings and the presets. Values are checked where they are made, never in the middle of work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cloak.errors import SettingsInvalid
from cloak.types import STYLES, Strength, Style


@dataclass(frozen=True, slots=True)
class Preset:
    """How visible a cloak may become and how long it is optimised."""

    radius: float  # root mean square of the perceptually weighted delta inside the mask, levels of 255
    peak: float  # largest change of any pixel value, levels of 255, before it is rounded to whole ones
    steps: int
    goal: float  # a face whose similarity falls to this on the encoded bytes is finished early


# How little the surrogate sees in a cloak says nothing of what others see in it: over 61 faces the two correlate with
# 0.00. So only `light` stops early, where a face is less alike itself than nine in ten strangers are to it.
PRESETS: dict[Strength, Preset] = {
    "light": Preset(radius=3.0, peak=7, steps=40, goal=0.787),
    "balanced": Preset(radius=5.8, peak=13.5, steps=40, goal=-1.0),
    "strong": Preset(radius=8.0, peak=20, steps=40, goal=-1.0),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a user can choose for one run."""

    strength: Strength = "balanced"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    detector: str = "centerface"
    seed: int = 0
    jpeg_quality: int = 95
    max_pixels: int = 120_000_000
    overwrite: bool = False
    cover: Style = "solid"  # how a face is covered that a rule covers
    small: Literal["redact", "report"] = "redact"  # faces too small to cloak usefully
    no_face: Literal["refuse", "clean"] = "refuse"  # clean: written without metadata
    ensure: bool = False  # raise the strength, and cover at last, until nothing is matched
    metadata: Literal["strip", "credit"] = "strip"
    recognisers: tuple[str, ...] | None = None  # None: all that are installed; their order means nothing
    judge: str | None = None  # the one of them that is kept out of the making; None: see `networks.load`
    keep_heic: bool = False  # HEIC becomes JPEG otherwise

    def __post_init__(self) -> None:
        if self.strength not in PRESETS:
            raise SettingsInvalid(f"strength is {self.strength!r}; choose one of {', '.join(PRESETS)}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise SettingsInvalid(f"device is {self.device!r}; choose auto, cpu or cuda")
        if self.cover not in STYLES:
            raise SettingsInvalid(f"cover is {self.cover!r}; choose one of {', '.join(STYLES)}")
        if self.small not in ("redact", "report"):
            raise SettingsInvalid(f"small is {self.small!r}; choose redact or report")
        if self.no_face not in ("refuse", "clean"):
            raise SettingsInvalid(f"no_face is {self.no_face!r}; choose refuse or clean")
        if self.metadata not in ("strip", "credit"):
            raise SettingsInvalid(f"metadata is {self.metadata!r}; choose strip or credit")
        if not isinstance(self.jpeg_quality, int) or not 85 <= self.jpeg_quality <= 100:
            raise SettingsInvalid(f"jpeg_quality is {self.jpeg_quality!r}; choose a whole number from 85 to 100 "
                                  "(below 85 the encoder wears the cloak away)")
        if not math.isfinite(self.seed) or not 0 <= self.seed < 2**63:
            raise SettingsInvalid(f"seed is {self.seed!r}; choose a whole number from 0 to 2**63 - 1")
        if self.recognisers is not None and not self.recognisers:
            raise SettingsInvalid("recognisers names none; name one or more, or leave it out for all installed")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is, for whoever is waiting."""

    photo: str  # name of the photo that is worked on
    faces_done: int  # of the photos read so far
    faces: int
    step: int  # of the optimiser, 0 before it starts
    steps: int
    faces_in_work: int = 1  # the faces these steps are for
    photos_done: int = 0  # of the batch, finished or given up
    photos: int = 1
