"""The kinds of jobs: what a client hands in for each, and may choose. What is done with it stands in `work`.

A kind more is one entry in KINDS and one function in `work.WORK`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Cover = Literal["redact solid", "redact mosaic", "redact blur", "redact ring"]
FaceTreatment = Literal["keep", "cloak light", "cloak balanced", "cloak strong", "redact solid", "redact mosaic",
                        "redact blur", "redact ring"]
FaceNumber = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}$")]
Pixel = Annotated[int, Field(strict=True, ge=-100_000, le=100_000)]
Side = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Seconds = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
TrackNumber = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
# Not `picture`: it names a file, and files of the service are nobody's to name
ClipStyle = Literal["solid", "mosaic", "blur", "ring"]
Line = Literal["photos", "clips"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Area(_Strict):
    """A rectangle that is covered where no detector saw a face: pixels of the upright photo."""

    x: Pixel
    y: Pixel
    width: Side
    height: Side
    treatment: Cover = "redact solid"


class DetectOptions(_Strict):
    """Nothing to choose."""


class ProtectOptions(_Strict):
    """What happens to the faces. Numbers are those of a `detect` job, left to right from 1."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"default": "redact solid", "faces": {"2": "keep", "3": "cloak strong"},
         "regions": [{"x": 120, "y": 40, "width": 60, "height": 80}]}]})

    default: FaceTreatment = Field("redact solid", description="Of every face that `faces` does not name.")
    faces: dict[FaceNumber, FaceTreatment] = Field(default_factory=dict, max_length=2000)
    regions: list[Area] = Field(default_factory=list, max_length=1000)
    sha256: Sha256 | None = Field(
        None, description="Of the photo whose faces were numbered; another photo is refused then.")
    ensure: bool = Field(False, description="Treat a face harder that does not hold, and cover it at last.")
    small: Literal["redact", "report"] = Field("redact", description="Of faces too small to cloak.")
    no_face: Literal["refuse", "clean"] = Field(
        "refuse", description="Of a photo in which no face is found: clean writes it without metadata, its report "
                              "names no face, and `is_protected` is false, for nothing was judged.")
    metadata: Literal["strip", "credit"] = "strip"
    keep_heic: bool = False
    jpeg_quality: Annotated[int, Field(strict=True, ge=85, le=100)] = 95


class CheckOptions(_Strict):
    """Nothing to choose."""


class Span(_Strict):
    """A part of a clip, in seconds from its start."""

    from_s: Seconds
    to_s: Seconds


class ClipArea(_Strict):
    """A rectangle of a clip that is covered, for a time or throughout: pixels of the upright picture."""

    x: Pixel
    y: Pixel
    width: Side
    height: Side
    from_s: Seconds = 0.0
    to_s: Seconds | None = Field(None, description="None: to the end.")


class VideoPlanOptions(_Strict):
    """How a clip is looked at."""

    allow_damage: bool = Field(False, description="Take what can be decoded of a damaged clip.")


class VideoOptions(_Strict):
    """How faces in a clip are covered, on top of what the plan says. Everybody is covered whom nobody keeps."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"style": "mosaic", "keep": [2],
         "regions": [{"x": 10, "y": 20, "width": 60, "height": 80, "from_s": 0, "to_s": 1.5}], "audio": "drop"}]})

    style: ClipStyle | None = Field(None, description="None: that of the plan, or solid.")
    colour: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")] | None = Field(
        None, description="Of solid covers; black.")
    paranoid: bool | None = Field(None, description="Cover the whole frame while a face is lost from sight.")
    keep: list[TrackNumber] = Field(default_factory=list, max_length=2000,
                                    description="Tracks of the plan to leave as they are; only with a plan.")
    regions: list[ClipArea] = Field(default_factory=list, max_length=1000)
    audio: Literal["keep", "drop"] = Field("keep", description="Voices identify people too.")
    mute: list[Span] = Field(default_factory=list, max_length=1000, description="Silence in these seconds.")
    container: Literal["auto", "mp4", "mov", "mkv", "webm"] = Field("auto", description="auto: that of the clip.")
    no_face: Literal["refuse", "clean"] = Field(
        "refuse", description="Of a clip in which no face is seen: clean writes it without metadata, and "
                              "`needs_a_look` is true.")
    sha256: Sha256 | None = Field(None, description="Of the clip that was decided about; another is refused then.")
    allow_damage: bool = Field(False, description="Take what can be decoded of a damaged clip.")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a client hands in."""

    options: type[BaseModel]
    needed: tuple[str, ...]  # parts that must come with a file
    optional: tuple[str, ...] = ()
    words: str = ""
    line: Line = "photos"  # where jobs wait: nobody waits with a photo until a clip is done

    @property
    def main(self) -> str:
        """The part that a job is about."""
        return self.needed[0]


@dataclass(frozen=True, slots=True)
class Most:
    """How much of each a job may be about."""

    max_pixels: int
    max_clip_pixels: int
    max_clip_s: float


# The parts of an upload that are files, and what the files are called in the folder of the job.
FILES = MappingProxyType({"file": "photo", "original": "original", "clip": "clip", "plan": "given.json"})
PLAN = "plan.json"  # what a job about a clip makes of it, or was given with all that was chosen

KINDS: MappingProxyType[str, Kind] = MappingProxyType({
    "detect": Kind(DetectOptions, ("file",), words="lists the faces; the result is a JPEG to look at, of any size, "
                                                   "with their numbers on it"),
    "protect": Kind(ProtectOptions, ("file",), words="cloaks or covers faces and judges the file it writes"),
    "check": Kind(CheckOptions, ("file",), ("original",),
                  words="judges `file` as it would be published against `original`; no result file"),
    "video-plan": Kind(VideoPlanOptions, ("clip",), line="clips",
                       words="follows the faces in `clip`, with pictures of each and a plan to decide on; no result "
                             "file"),
    "video": Kind(VideoOptions, ("clip",), ("plan",), line="clips",
                  words="covers the faces in `clip` as a plan says, or all of them, and looks at the clip it writes "
                        "again"),
})


def of_line(line: Line) -> tuple[str, ...]:
    """The kinds that wait there."""
    return tuple(name for name, kind in KINDS.items() if kind.line == line)


def as_json(options: BaseModel) -> dict[str, Any]:
    """The options as they are kept: every one, so that a later default changes no waiting job."""
    return options.model_dump(mode="json")
