"""The kinds of jobs: what a client hands in for each, and may choose. What is done with it stands in `work`.

A kind more (video) is one entry in KINDS and one function in `work.WORK`.
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
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="Of the photo whose faces were numbered; another photo is refused then.")
    ensure: bool = Field(False, description="Treat a face harder that does not hold, and cover it at last.")
    small: Literal["redact", "report"] = Field("redact", description="Of faces too small to cloak.")
    metadata: Literal["strip", "credit"] = "strip"
    keep_heic: bool = False
    jpeg_quality: Annotated[int, Field(strict=True, ge=85, le=100)] = 95


class CheckOptions(_Strict):
    """Nothing to choose."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a client hands in."""

    options: type[BaseModel]
    needed: tuple[str, ...]  # parts that must come with a file
    optional: tuple[str, ...] = ()
    words: str = ""


# The parts of an upload that are files, and what the files are called in the folder of the job.
FILES = MappingProxyType({"file": "photo", "original": "original"})

KINDS: MappingProxyType[str, Kind] = MappingProxyType({
    "detect": Kind(DetectOptions, ("file",), words="lists the faces; the result is a JPEG to look at, of any size, "
                                                   "with their numbers on it"),
    "protect": Kind(ProtectOptions, ("file",), words="cloaks or covers faces and judges the file it writes"),
    "check": Kind(CheckOptions, ("file",), ("original",),
                  words="judges `file` as it would be published against `original`; no result file"),
})


def as_json(options: BaseModel) -> dict[str, Any]:
    """The options as they are kept: every one, so that a later default changes no waiting job."""
    return options.model_dump(mode="json")
