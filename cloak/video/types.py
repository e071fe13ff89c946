"""The frozen types that the parts of video redaction hand to each other.

Convention: everything is counted in upright pictures, as a player shows them. Boxes are x1 y1 x2 y2 in pixels, counted
from corners, half-open, and may leave the picture. Frames are numbered from 0 in the order in which they are shown, and
every frame of the clip counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
Box: TypeAlias = tuple[float, float, float, float]
# How the place of a face is known: by the detector, by its pixels, between, beyond the ends
Source: TypeAlias = Literal["seen", "followed", "filled", "extended"]


@dataclass(frozen=True, slots=True)
class Sound:
    """One sound track of a clip."""

    index: int  # of the stream in the container
    codec: str
    language: str | None
    channels: int


@dataclass(frozen=True, slots=True)
class Colour:
    """What the stream says about its colours, as ffmpeg spells it; None where it says nothing. Forwarded as it is."""

    primaries: str | None = None
    transfer: str | None = None
    matrix: str | None = None
    range: str | None = None
    chroma_location: str | None = None
    mastering_display: str | None = None  # HDR10, as x265's `master-display` wants it
    content_light: tuple[int, int] | None = None  # HDR10, MaxCLL and MaxFALL in cd/m2


@dataclass(frozen=True, slots=True)
class Clip:
    """What a video file says before a frame is decoded."""

    path: Path
    size: tuple[int, int]  # width and height, upright
    rotation: int  # 0, 90, 180 or 270: degrees clockwise by which stored pictures are turned to stand upright
    codec: str
    pixel_format: str  # ffmpeg's name of what is stored: yuv420p, yuv420p10le, ...
    depth: int  # bits a channel: 8 or 10 (more is refused)
    frames: int | None  # promised by the container; None where it says nothing
    rate: Fraction  # frames per second, average
    duration_s: float | None  # of the video stream
    time_base: Fraction  # of the frames' times
    aspect: Fraction  # of one pixel, width by height, upright
    colour: Colour
    sounds: tuple[Sound, ...]
    left_out: tuple[str, ...]  # for people: each stream and tag that the output will not carry
    notes: tuple[str, ...] = ()  # for people: what else the output will have otherwise
    is_mirrored: bool = False  # stored pictures are turned left to right before they are rotated
    field_order: Literal["tt", "bb", "tb", "bt"] | None = None  # as ffmpeg spells it; None where not interlaced
    start: int = 0  # of the file, in units of the time base: what players take for the moment 0


@dataclass(slots=True)
class Frame:
    """One decoded picture: its planes, upright and writable, exactly as stored (no conversion of colours)."""

    number: int
    time: int  # in units of the clip's time base; of the first frame as stored, not 0
    seconds: float  # from the first frame
    planes: tuple[Plane, ...]  # Y, U, V or Y alone: (H, W), then by the chroma subsampling; u8, or u16 where depth > 8
    to_rgb: Callable[[], NDArray[np.uint8]] = field(repr=False)  # (H, W, 3) u8 RGB, upright; as decoded, a new copy
    tones: NDArray[np.uint8] | None = field(default=None, repr=False)  # (256,): how `to_rgb` shows HDR; see `tones`


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one face is in one frame."""

    frame: int
    box: Box
    score: float  # the detector's, in [0, 1]; 0 where no detector saw it in this very frame
    source: Source
    landmarks: tuple[tuple[float, float], ...] | None = None  # five points x y, image-left first; None where not seen


@dataclass(frozen=True, slots=True)
class Track:
    """One face through one shot: one spot for each of its frames, without a gap."""

    number: int  # 1-based, in the order of first frames, then image-left first
    spots: Sequence[Spot]  # `spots.Spots` where there are many
    is_lost: bool = False  # it ended, or began, within a shot and away from the edges, for no reason that was seen
    decision: Literal["hide", "keep"] = "hide"
    style: str | None = None  # overrides the plan's


@dataclass(frozen=True, slots=True)
class Area:
    """A region that a person drew, covered in frames `first` to `last`, both included."""

    box: Box
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that rendering needs, and nothing of the picture. Rendering the same plan gives the same bytes."""

    clip: str  # file name without folder
    sha256: str  # of the clip
    size: tuple[int, int]
    frames: int  # decoded and looked at
    cuts: tuple[int, ...]  # numbers of frames that begin a new shot, the first not among them
    tracks: tuple[Track, ...]
    areas: tuple[Area, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)  # style and whatever else shapes the output
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
