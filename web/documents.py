"""What the service answers with, as types: the OpenAPI document and the answers are both made from these."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

import cloak
from web.jobs import Service
from web.kinds import KINDS
from web.store import Job, State

Box = tuple[float, float, float, float]
_ENUM: dict[str, Any] = {"enum": sorted(KINDS)}


def _report_model() -> type[BaseModel]:
    """The engine's own `Report` with the name of its schema, so that the two cannot drift apart."""
    hints = typing.get_type_hints(cloak.Report)
    fields: dict[str, Any] = {f.name: (hints[f.name], ...) for f in dataclasses.fields(cloak.Report)}
    return create_model("ReportDocument", schema_=(str, Field(alias="schema", description="facecloak-report/2")),
                        __doc__="Everything measured on one written file, as `cloak photo` writes it beside each.",
                        **fields)


ReportDocument = _report_model()


class FaceFound(BaseModel):
    """A face that the detector saw."""

    number: int = Field(description="From 1, left to right: what `faces` of a `protect` job speaks of.")
    box: Box = Field(description="x1 y1 x2 y2 in pixels of the upright photo.")
    score: float = Field(description="The detector's confidence, 0 to 1.")


class ProblemDocument(BaseModel):
    """RFC 9457; here why a job failed."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class ShareDocument(BaseModel):
    """How far a running job is."""

    share: float = Field(ge=0, le=1)
    words: str


_EXAMPLE: dict[str, Any] = {
    "id": "5f0c1c5e7b7d4a52a1c2d3e4f5061728", "kind": "detect", "state": "done", "place": None, "progress": None,
    "name": "march.jpg", "created": "2026-01-31T12:00:00Z", "finished": "2026-01-31T12:00:02Z",
    "expires": "2026-01-31T13:00:00Z", "size": [640, 480],
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "faces": [{"number": 1, "box": [120.0, 40.0, 180.0, 120.0], "score": 0.98}], "is_protected": None, "report": None,
    "result": "/v1/jobs/5f0c1c5e7b7d4a52a1c2d3e4f5061728/result", "problem": None,
}


class JobDocument(BaseModel):
    """A job, as its owner sees it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str
    kind: str = Field(json_schema_extra=_ENUM)
    state: State = Field(description="`failed` says why in `problem`; after `cancelled` and `expired` nothing is left.")
    place: int | None = Field(description="In the queue, 1 is next.")
    progress: ShareDocument | None
    name: str | None = Field(description="What the client called the file. Nowhere on the disk, so it is lost when the "
                                         "service is started anew.")
    created: datetime
    finished: datetime | None
    expires: datetime = Field(description="When everything of this job is deleted.")
    size: tuple[int, int] | None = Field(description="Width and height of the upright photo, pixels.")
    sha256: str | None = Field(description="Of the file that was handed in.")
    faces: list[FaceFound] | None = Field(description="Of a `detect` job.")
    is_protected: bool | None = Field(description="True only where no face is matched, lost or unjudged on the written "
                                                  "file. A face that was kept was a choice.")
    report: ReportDocument | None  # type: ignore[valid-type]
    result: str | None = Field(description="Where the file is to be had.")
    problem: ProblemDocument | None


class JobList(BaseModel):
    """Jobs of this token, newest first."""

    jobs: list[JobDocument]


class Limits(BaseModel):
    """What the service takes on."""

    max_upload_bytes: int
    max_pixels: int
    upload_s: float
    job_s: float
    answer_s: float
    keep_s: int
    max_jobs_per_token: int
    kinds: dict[str, str]


class Health(BaseModel):
    """That the service answers, and how much it has to do."""

    status: Literal["ok"]
    version: str
    queued: int
    running: int


def job_document(service: Service, job: Job) -> dict[str, Any]:
    """The job as JSON types, with the names its owner knows."""
    outcome: Mapping[str, Any] = job.outcome or {}
    share = service.share(job)
    report = outcome.get("report")
    name = service.name(job)
    if report is not None:
        report = {**report, **names_in(report, name, service.name(job, "original"))}
    return {
        "id": job.id, "kind": job.kind, "state": job.state, "place": service.place(job),
        "progress": None if share is None else {"share": share.share, "words": share.words},
        "name": name, "created": _time(job.created), "finished": _time(job.finished), "expires": _time(job.expires),
        "size": outcome.get("size"), "sha256": outcome.get("sha256"), "faces": outcome.get("faces"),
        "is_protected": outcome.get("is_protected"), "report": report,
        "result": f"/v1/jobs/{job.id}/result" if "result" in outcome else None, "problem": job.problem,
    }


def names_in(report: Mapping[str, Any], name: str | None, original: str | None) -> dict[str, str | None]:
    """The report speaks of `photo` and `original`, our names; its owner's names take their place."""
    theirs = {"photo": name, "original": original}
    return {part: None if report[part] is None else theirs.get(report[part]) or named_like(report[part], name)
            for part in ("input", "output")}


def named_like(file: str, name: str | None) -> str:
    """`photo.cloaked.jpg` as the owner of `march.heic` expects it: `march.cloaked.jpg`."""
    if name is None or not file.startswith("photo."):
        return file
    stem = name.rpartition(".")[0] or name
    return stem + file.removeprefix("photo")


def limits(service: Service) -> dict[str, Any]:
    return {**{name: getattr(service.settings, name) for name in Limits.model_fields if name != "kinds"},
            "kinds": {name: kind.words for name, kind in KINDS.items()}}


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
