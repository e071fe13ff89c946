"""What the service answers with, as types: the OpenAPI document and the answers are both made from these."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

import cloak
from web.jobs import Service
from web.kinds import KINDS
from web.store import Job, State

Box = tuple[float, float, float, float]
_ENUM: dict[str, Any] = {"enum": sorted(KINDS)}


def _report_model(report: type[Any], name: str, schema: str, words: str) -> type[BaseModel]:
    """One of the engine's own reports with the name of its schema, so that the two cannot drift apart."""
    hints = typing.get_type_hints(report)
    fields: dict[str, Any] = {f.name: (hints[f.name], ...) for f in dataclasses.fields(report)}
    fields["schema_"] = Literal[schema], Field(alias="schema")
    return create_model(name, __doc__=words, **fields)


ReportDocument = _report_model(cloak.Report, "ReportDocument", "facecloak-report/2",
                               "Everything measured on one written photo, as `cloak photo` writes it beside each.")
ClipReportDocument = _report_model(cloak.VideoReport, "ClipReportDocument", "facecloak-video/1",
                                   "Everything known about one written clip, as `cloak video` writes it beside each.")


class FaceFound(BaseModel):
    """A face that the detector saw."""

    number: int = Field(description="From 1, left to right: what `faces` of a `protect` job speaks of.")
    box: Box = Field(description="x1 y1 x2 y2 in pixels of the upright photo.")
    score: float = Field(description="The detector's confidence, 0 to 1.")


class TrackFound(BaseModel):
    """One face, followed through one shot of a clip."""

    number: int = Field(description="From 1, in the order of first sights: what `keep` of a `video` job speaks of.")
    from_s: float
    to_s: float
    frames: int
    height_px: int = Field(description="Of the face where it is largest.")
    score: float = Field(description="The detector's confidence where it was surest, 0 to 1.")
    is_lost: bool = Field(description="It began or ended for no reason that was seen: the face may go on uncovered.")
    risks: list[str] = Field(description="Why a person should look at it, the most telling first.")
    decision: Literal["hide", "keep"] | None = Field(description="As the plan is now; null where it has this track no "
                                                                 "longer.")
    style: str | None = Field(description="Of this track alone.")
    pictures: list[str] = Field(description="Where pictures of it are to be had, in their order of time. They show the "
                                            "face. Keep it only where all show who you mean.")


class BoxOfTrack(BaseModel):
    """Where a track is in one frame."""

    track: int
    box: Box


class MomentFound(BaseModel):
    """A frame of a clip to look at."""

    frame: int
    seconds: float
    why: str | None = Field(description="What may be wrong there; null for frames taken at even distances.")
    picture: str
    boxes: list[BoxOfTrack] = Field(description="In pixels of the clip, whatever the size of the picture.")


class FoundAgain(BaseModel):
    """What may be an uncovered face in the written clip."""

    model_config = ConfigDict(populate_by_name=True)

    from_s: float
    to_s: float
    from_: str = Field(alias="from", description="As a time code.")
    to: str
    box: Box = Field(description="Where it is largest.")
    score: float


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
    "duration_s": None, "frames": None, "tracks": None, "moments": None, "plan": None, "needs_a_look": None,
    "found_again": None, "result": "/v1/jobs/5f0c1c5e7b7d4a52a1c2d3e4f5061728/result", "problem": None,
}


_CLIP_EXAMPLE: dict[str, Any] = {
    **_EXAMPLE, "kind": "video-plan", "name": "march.mp4", "faces": None, "duration_s": 9.6, "frames": 240,
    "tracks": [{"number": 1, "from_s": 0.0, "to_s": 4.2, "frames": 106, "height_px": 66, "score": 0.91,
                "is_lost": True, "risks": ["lost from sight: the face may go on uncovered"], "decision": "hide",
                "style": None, "pictures": ["/v1/jobs/5f0c1c5e7b7d4a52a1c2d3e4f5061728/files/track-1-1.jpg"]}],
    "moments": [{"frame": 109, "seconds": 4.36, "why": "track 1 is not covered here: is its face still to be seen?",
                 "picture": "/v1/jobs/5f0c1c5e7b7d4a52a1c2d3e4f5061728/files/frame-109.jpg", "boxes": []}],
    "plan": "/v1/jobs/5f0c1c5e7b7d4a52a1c2d3e4f5061728/plan", "result": None,
}


class JobDocument(BaseModel):
    """A job, as its owner sees it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE, _CLIP_EXAMPLE]})

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
    size: tuple[int, int] | None = Field(description="Width and height, upright, pixels.")
    sha256: str | None = Field(description="Of the file that was handed in.")
    faces: list[FaceFound] | None = Field(description="Of a `detect` job.")
    is_protected: bool | None = Field(description="Of a photo. True only where no face is matched, lost or unjudged on "
                                                  "the written file. A face that was kept was a choice.")
    report: ReportDocument | ClipReportDocument | None  # type: ignore[valid-type]
    duration_s: float | None = Field(description="Of a clip, where it says.")
    frames: int | None = Field(description="Of a clip.")
    tracks: list[TrackFound] | None = Field(description="Of a `video-plan` job, the most doubtful first.")
    moments: list[MomentFound] | None = Field(description="Of a `video-plan` job, in their order of time.")
    plan: str | None = Field(description="Where the plan of a clip is to be had, and of a `video-plan` job replaced.")
    needs_a_look: bool | None = Field(description="Of a `video` job: true where the written clip shows what may be an "
                                                  "uncovered face, or something is not as it should be. False is no "
                                                  "proof: detectors miss faces, so watch the clip.")
    found_again: list[FoundAgain] | None = Field(description="Of a `video` job: what may be uncovered faces.")
    result: str | None = Field(description="Where the file is to be had.")
    problem: ProblemDocument | None


class JobList(BaseModel):
    """Jobs of this token, newest first."""

    jobs: list[JobDocument]


class Limits(BaseModel):
    """What the service takes on."""

    max_upload_bytes: int
    max_pixels: int
    max_clip_bytes: int
    max_clip_pixels: int
    max_clip_s: float
    max_plan_bytes: int
    upload_s: float
    job_s: float
    clip_job_s: float
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
    here = f"/v1/jobs/{job.id}"
    if report is not None:
        report = {**report, **names_in(report, name, service.name(job, "original"))}
    return {
        "id": job.id, "kind": job.kind, "state": job.state, "place": service.place(job),
        "progress": None if share is None else {"share": share.share, "words": share.words},
        "name": name, "created": _time(job.created), "finished": _time(job.finished), "expires": _time(job.expires),
        **{field: outcome.get(field) for field in ("size", "sha256", "faces", "is_protected", "duration_s", "frames",
                                                   "needs_a_look", "found_again")},
        "tracks": _linked(outcome.get("tracks"), lambda track: {
            "pictures": [f"{here}/files/{file}" for file in track["pictures"]]}),
        "moments": _linked(outcome.get("moments"), lambda moment: {"picture": f"{here}/files/{moment['picture']}"}),
        "plan": f"{here}/plan" if "plan" in outcome else None, "report": report,
        "result": f"{here}/result" if "result" in outcome else None, "problem": job.problem,
    }


def _linked(rows: list[dict[str, Any]] | None, links: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    return None if rows is None else [{**row, **links(row)} for row in rows]


def names_in(report: Mapping[str, Any], name: str | None, original: str | None) -> dict[str, str | None]:
    """The report speaks of `photo`, `clip` and `original`, our names; its owner's names take their place."""
    theirs = {"photo": name, "clip": name, "original": original}
    return {part: None if report[part] is None else theirs.get(report[part]) or named_like(report[part], name)
            for part in ("input", "output")}


def named_like(file: str, name: str | None) -> str:
    """`photo.cloaked.jpg` as the owner of `march.heic` expects it: `march.cloaked.jpg`."""
    ours, dot, rest = file.partition(".")
    if name is None or ours not in ("photo", "clip"):
        return file
    return (name.rpartition(".")[0] or name) + dot + rest


def limits(service: Service) -> dict[str, Any]:
    return {**{name: getattr(service.settings, name) for name in Limits.model_fields if name != "kinds"},
            "kinds": {name: kind.words for name, kind in KINDS.items()}}


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
