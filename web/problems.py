"""Everything that can go wrong for a client, in the words it reads. RFC 9457, `application/problem+json`.

Programs go by `code` (and `type`, which is the same as a URN); people read `title` and `detail`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"

# code -> status, title
PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid": (422, "The request is not understood"),
    "unauthorised": (401, "A valid token is needed"),
    "not-found": (404, "There is no such thing here"),
    "method-not-allowed": (405, "This cannot be done here"),
    "gone": (410, "The files of this job were deleted"),
    "not-ready": (409, "The job has no result yet"),
    "no-result": (409, "The job has no file to give out"),
    "not-protected": (409, "A face is not protected"),
    "not-multipart": (415, "The body is not multipart/form-data"),
    "upload-too-large": (413, "The upload is too large"),
    "upload-too-slow": (408, "The upload took too long"),
    "key-reused": (422, "The idempotency key was used for another request"),
    "too-many-jobs": (429, "Too many jobs are waiting"),
    "too-many-uploads": (429, "Too many uploads at once"),
    "disk-full": (507, "The disk is full"),
    "photo-unreadable": (422, "The photo cannot be read"),
    "photo-unsupported": (415, "This kind of picture is not supported"),
    "photo-too-large": (413, "The photo has too many pixels"),
    "clip-unreadable": (422, "The clip cannot be read"),
    "clip-unsupported": (415, "This kind of clip is not supported"),
    "clip-too-large": (413, "The pictures of the clip have too many pixels"),
    "clip-too-long": (413, "The clip lasts too long"),
    "plan-invalid": (422, "The plan cannot be used"),
    "no-face": (422, "No face was found"),
    "choices-invalid": (422, "The choices do not fit the file"),
    "settings-invalid": (422, "The settings are not possible"),
    "not-ensured": (422, "A face is still matched, and nothing was written"),
    "not-processed": (422, "The file could not be processed"),
    "encoding-failed": (500, "The clip could not be written"),
    "took-too-long": (504, "The job took too long and was stopped"),
    "worker-killed": (500, "The process that worked on the job ended"),
    "interrupted": (500, "The service was stopped while it worked on the job, more than once"),
    "recognisers-unusable": (500, "A weight file is missing or damaged"),
    "broken": (500, "An error of ours"),
}


class Problem(Exception):
    """Ends a request, or describes why a job failed. `detail` never holds a path of ours or a name of a file."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.headers, self.more = code, detail, dict(headers or {}), more

    @property
    def status(self) -> int:
        return PROBLEMS[self.code][0]

    @property
    def document(self) -> dict[str, Any]:
        return {**document(self.code, self.detail), **self.more}

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.document, self.status, self.headers, media_type=MEDIA_TYPE)


def document(code: str, detail: str) -> dict[str, Any]:
    """The problem as JSON types; `code` is one of PROBLEMS, or an HTTP status that the framework came up with."""
    status, title = PROBLEMS[code]
    return {"type": f"urn:facecloak:problem:{code}", "title": title, "status": status, "code": code, "detail": detail}


def described(*codes: str) -> dict[int | str, dict[str, Any]]:
    """For an OpenAPI operation: the answers with these problems, with an example each."""
    answers: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = PROBLEMS[code]
        answer = answers.setdefault(status, {"description": title, "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}})
        if title not in answer["description"]:
            answer["description"] += f"; {title[0].lower()}{title[1:]}"
        answer["content"][MEDIA_TYPE]["examples"][code] = {"value": document(code, "What was found, and what to do.")}
    return answers


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. Programs go by `code`.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(PROBLEMS)}, "detail": {"type": "string"},
        "job": {"$ref": "#/components/schemas/JobDocument"},
    },
}
