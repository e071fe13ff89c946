"""The frozen types that modules hand to each other.

Convention: pixels are `uint8 (H, W, 3)` RGB; points are (x, y) in pixels and (0, 0) is the centre of the
top-left pixel; image-left comes first.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cloak.metadata import Credit

Pixels = NDArray[np.uint8]
Format: TypeAlias = Literal["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"]


def output_format(format: Format, *, keep_heic: bool) -> Format:
    """The format of the file that is written for one that was read: the same, but HEIC becomes JPEG unless asked.

    Few programs outside Apple's open HEIC, and a published photo has to open everywhere.
    """
    return "JPEG" if format == "HEIF" and not keep_heic else format


@dataclass(frozen=True, slots=True)
class Photo:
    """One decoded photo, upright, and what is needed to write it again in kind."""

    path: Path
    pixels: Pixels  # (H, W, 3) RGB, orientation applied
    format: Format  # of the file that was read
    sha256: str  # of the file's bytes as they were read
    icc_profile: bytes | None = None
    is_grey: bool = False
    alpha: Pixels | None = None  # (H, W); None where the file has no alpha
    is_lossless: bool = False  # decides how a WebP is written again; PNG and TIFF always are
    keep_heic: bool = False
    notes: tuple[str, ...] = ()  # what reading or writing this file changes, for people
    credit: Credit = Credit()

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"{self.path}: pixels are {self.pixels.dtype} {self.pixels.shape}, "
                             "expected uint8 (H, W, 3)")

    @property
    def output_format(self) -> Format:
        """The format that is written for this photo."""
        return output_format(self.format, keep_heic=self.keep_heic)


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one image. All arrays share their first axis, N, which may be 0."""

    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, pixels, half-open
    landmarks: NDArray[np.float32]  # (N, 5, 2) x y: eyes, nose, mouth corners; image-left first
    scores: NDArray[np.float32]  # (N,) detector confidence in [0, 1]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.landmarks.shape != (n, 5, 2) or self.scores.shape != (n,):
            raise ValueError(f"boxes {self.boxes.shape}, landmarks {self.landmarks.shape} and scores "
                             f"{self.scores.shape} do not describe the same faces")

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, indices: NDArray[np.intp] | list[int]) -> Faces:
        """The faces at `indices`, in that order."""
        return Faces(self.boxes[indices], self.landmarks[indices], self.scores[indices])

    @classmethod
    def none(cls) -> Faces:
        """No face at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one recogniser says of one face of the written file, compared with the original photo.

    Similarities are cosines in [-1, 1]. `fmr_*` is the false match rate of the operating point at which
    the two would only just match: 0.3 means that a searcher who accepts this pair also accepts three in ten
    strangers; the bounds of the calibration curve (see `calibration`) limit it on both sides.
    """

    recogniser: str
    is_surrogate: bool  # the cloak was, or may have been, optimised against this very network
    similarity_before: float  # original face against the unprotected photo, written the same way
    similarity_after: float  # original face against the written file
    fmr_before: float
    fmr_after: float
    is_matched: bool  # similarity_after reaches the threshold at FMR `threshold_fmr`
    threshold: float
    threshold_fmr: float


Strength = Literal["light", "balanced", "strong"]
Style = Literal["solid", "mosaic", "blur", "ring"]
STRENGTHS: tuple[Strength, ...] = typing.get_args(Strength)  # weakest first
STYLES: tuple[Style, ...] = typing.get_args(Style)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to one face: cloaked at a strength, redacted in a style, or kept as it is."""

    kind: Literal["cloak", "redact", "keep"]
    how: str = ""  # the strength of a cloak, the style of a redaction

    def __str__(self) -> str:
        return f"{self.kind} {self.how}".strip()


KEEP = Treatment("keep")

FaceStatus = Literal["protected", "redacted", "kept", "matched", "lost", "too_small", "unjudged"]
# What an output may hold without a person looking at it again
SETTLED: frozenset[FaceStatus] = frozenset({"protected", "redacted", "kept"})


@dataclass(frozen=True, slots=True)
class FaceReport:
    """One face of one photo, as judged on the written file.

    `protected`: cloaked, and no recogniser matches it. `redacted`: covered, and no recogniser matches what is left.
    `kept`: left as it was by choice, so it was not judged. `lost`: the detector no longer finds the face, so nothing
    can be said about recognisers that still do. `too_small`: too few pixels for the similarity to mean much.
    `unjudged`: there was no original to compare with.
    """

    number: int  # 1-based, left to right as drawn by `cloak faces`
    box: tuple[float, float, float, float]  # x1 y1 x2 y2, pixels of the original
    detector_score: float  # 0 for a region that a person drew
    treatment: str  # as `Treatment` prints it; empty where a file was only looked at
    status: FaceStatus
    verdicts: tuple[Verdict, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything measured on one written file. No picture data."""

    input: str  # file name without folder
    output: str | None
    input_sha256: str | None
    output_sha256: str | None
    size: tuple[int, int]  # width, height
    faces: tuple[FaceReport, ...]
    words: str
    settings: dict[str, object]
    versions: dict[str, str]
    weights: dict[str, str]  # name -> sha256
    notes: tuple[str, ...] = ()

    @property
    def is_protected(self) -> bool:
        """True only where no face is still matched, lost or unjudged on the written file; a kept one was a choice."""
        return bool(self.faces) and all(face.status in SETTLED for face in self.faces)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input of a batch: either a report or an error, never both."""

    input: Path
    output: Path | None
    report: Report | None
    error: str | None
    kind: Literal["done", "no_face", "failed"]
    raised: str | None = None  # the name of the error in `cloak.errors`, for programs
