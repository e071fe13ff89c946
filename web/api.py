"""The HTTP API, `/v1`: tokens, uploads, jobs, results. What is done stands in `jobs` and `work`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from urllib.parse import quote

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

import cloak
from web import documents, kinds, plans, problems, tokens, uploads
from web.documents import Health, JobDocument, JobList, Limits, job_document
from web.edge import Edge
from web.jobs import Service, gone
from web.kinds import FILES, KINDS
from web.problems import Problem, described
from web.store import DELETED, Job

if TYPE_CHECKING:
    from web.studio import Studio

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CHUNK = 256 * 2**10
_UPLOAD_PROBLEMS = ("unauthorised", "invalid", "not-multipart", "upload-too-large", "upload-too-slow", "key-reused",
                    "too-many-jobs", "too-many-uploads", "disk-full")
_PHOTO_PROBLEMS = ("photo-unreadable", "photo-unsupported", "photo-too-large", "no-face", "choices-invalid",
                   "not-ensured", "not-protected", "gone", "took-too-long", "worker-killed")
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PLAN_EXAMPLE = {"schema": "facecloak-plan/1", "clip": "clip", "sha256": "9f86d081884c7d659a2feaa0c55ad015" * 2,
                 "size": [1280, 720], "frames": 250, "cuts": [125], "settings": {}, "versions": {}, "weights": {},
                 "areas": [{"box": [10, 20, 70, 100], "first": 0, "last": 49}],
                 "tracks": [{"number": 1, "decision": "keep", "style": None, "is_lost": False,
                             "spots": [[0, 100.5, 50.0, 131.0, 92.0, 0.91, "seen"]]}]}

_bearer = HTTPBearer(auto_error=False, description="Made with `cloak token create`.")


def create_app(service: Service, studio: Studio | None = None) -> FastAPI:
    """The service as an ASGI application, which starts and stops it; with the studio in front where there is one."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if studio is not None:
            studio.sweep()
        await service.start()
        try:
            yield
        finally:
            if studio is not None:
                studio.stop()
            await service.stop()

    app = FastAPI(
        title="facecloak", version=cloak.__version__, lifespan=lifespan,
        description="Cloaks or covers faces in photos, covers them in clips, and judges the files it writes. A verdict "
                    "speaks of the recognisers it names and of no others. Everything is deleted at the deadline of its "
                    "job.",
        docs_url=None, redoc_url=None,  # their pages load scripts from elsewhere
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,
    )
    app.state.service = service
    _add_routes(app)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    if studio is not None:
        studio.join(app)
    app.add_middleware(Edge)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


# --- who is asking ------------------------------------------------------------------------------------------------


async def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


async def _owner(service: Annotated[Service, Depends(_service)],
           credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    owner = None if credentials is None else tokens.owner_of(service.store, credentials.credentials)
    if owner is None:
        raise Problem("unauthorised", "send a valid token: `Authorization: Bearer fcl_...`. `cloak token create` makes "
                                      "one.", headers={"WWW-Authenticate": "Bearer"})
    return owner


Owner = Annotated[str, Depends(_owner)]
Hub = Annotated[Service, Depends(_service)]
Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the end of the job.")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", pattern=_KEY.pattern, max_length=255,
                                   description="The same key with the same request gives the same job, not another.")]


# --- routes -------------------------------------------------------------------------------------------------------


def _add_routes(app: FastAPI) -> None:

    @app.get("/healthz", tags=["service"], summary="That the service answers")
    async def healthz(service: Hub) -> Health:
        return Health(status="ok", version=cloak.__version__, queued=service.store.count("queued"),
                      running=service.store.count("running"))

    @app.get("/v1/limits", tags=["service"], summary="What the service takes on", responses=described("unauthorised"))
    async def limits(owner: Owner, service: Hub) -> Limits:
        return Limits(**documents.limits(service))

    @app.post("/v1/photos", tags=["photos"], summary="Protect a photo and get it back",
              response_class=Response, openapi_extra=_body("file", KINDS["protect"].options),
              responses={**described(*_UPLOAD_PROBLEMS, *_PHOTO_PROBLEMS),
                         200: {"description": "The protected photo: every face is protected, covered or kept. "
                                              "`Location` is the job, with the verdict.",
                               "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
                         202: {"description": "It takes longer. `Location` is the job.", "model": JobDocument}})
    async def photos(request: Request, owner: Owner, service: Hub, key: Key = None) -> Response:
        """Without `options` every face is covered. If a face of the written file is still matched, lost or not judged,
        the answer is 409 with the job, not the photo; whoever wants it all the same finds it at the job's `result`."""
        job = await take(request, service, owner, key, only="protect")
        job = await service.finished(job, service.settings.answer_s)
        where = {"Location": f"/v1/jobs/{job.id}"}
        if not job.is_finished:
            return _answer(service, job, 202)
        if job.problem is not None:
            raise Problem(job.problem["code"], job.problem["detail"], headers=where, job=job_document(service, job))
        if job.state not in DELETED and not (job.outcome or {}).get("is_protected"):
            raise Problem("not-protected", "a face of the written file is still matched, was lost, is too small or was "
                          "not judged; the report says which. Cover it, or look at the result and decide.",
                          headers=where, job=job_document(service, job))
        return file_answer(service, job)

    @app.post("/v1/jobs", tags=["jobs"], summary="Hand in a job", status_code=202, response_model=JobDocument,
              openapi_extra=_body("kind", None),
              responses={**described(*_UPLOAD_PROBLEMS, "gone", "not-found", "not-ready", "no-result", "plan-invalid",
                                     "choices-invalid"),
                         200: {"description": "It has ended within `wait`.", "model": JobDocument}})
    async def hand_in(request: Request, owner: Owner, service: Hub, key: Key = None, wait: Wait = 0) -> Response:
        job = await service.finished(await take(request, service, owner, key), wait)
        if job.state in DELETED:
            raise gone(job)
        return _answer(service, job, 200 if job.is_finished else 202)

    @app.get("/v1/jobs", tags=["jobs"], summary="List the jobs of this token", responses=described(
        "unauthorised", "invalid"))
    async def list_jobs(owner: Owner, service: Hub, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> JobList:
        return JobList.model_validate({"jobs": [job_document(service, job) for job in
                                                service.store.of(owner, limit=limit)]})

    @app.get("/v1/jobs/{job_id}", tags=["jobs"], summary="How a job is", response_model=JobDocument,
             responses=described("unauthorised", "not-found", "gone", "invalid"))
    async def look(job_id: str, owner: Owner, service: Hub, wait: Wait = 0) -> Response:
        job = await service.finished(service.find(owner, job_id), wait)
        if job.state in DELETED:
            raise gone(job)
        return _answer(service, job, 200)

    @app.get("/v1/jobs/{job_id}/result", tags=["jobs"], summary="The file a job has made", response_class=Response,
             responses={**described("unauthorised", "not-found", "gone", "not-ready", "no-result", "invalid"),
                        200: {"description": "The protected photo or clip, whatever its verdict, or the numbered "
                                             "faces.", "content": {"image/*": _BINARY, "video/*": _BINARY}}})
    async def result(job_id: str, owner: Owner, service: Hub) -> Response:
        return file_answer(service, service.find(owner, job_id))

    @app.get("/v1/jobs/{job_id}/files/{name}", tags=["clips"], summary="A picture of a track, or a frame to look at",
             response_class=Response,
             responses={**described("unauthorised", "not-found", "gone", "invalid"),
                        200: {"description": "It shows faces uncovered.", "content": {"image/jpeg": _BINARY}}})
    async def picture(job_id: str, name: str, owner: Owner, service: Hub) -> Response:
        job = service.find(owner, job_id)
        return _sent(job, *service.file(job, name), shown_as=None)

    @app.get("/v1/jobs/{job_id}/plan", tags=["clips"], summary="The plan of a clip", response_class=Response,
             responses={**described("unauthorised", "not-found", "gone", "not-ready", "no-result", "invalid"),
                        200: {"description": "Where every face is, and what is decided about it; as `cloak video "
                                             "--plan` reads it.",
                              "content": {"application/json": {"schema": {"type": "object"},
                                                               "example": _PLAN_EXAMPLE}}}})
    async def plan(job_id: str, owner: Owner, service: Hub) -> Response:
        job = service.find(owner, job_id)
        return _sent(job, service.plan(job), "application/json", shown_as=None)

    @app.put("/v1/jobs/{job_id}/plan", tags=["clips"], summary="Decide: replace the plan of a clip",
             response_model=JobDocument,
             openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
                 "schema": {"type": "object"}, "example": _PLAN_EXAMPLE}}}},
             responses=described("unauthorised", "not-found", "gone", "not-ready", "no-result", "invalid",
                                 "plan-invalid", "upload-too-large", "upload-too-slow", "disk-full"))
    async def put_plan(job_id: str, request: Request, owner: Owner, service: Hub) -> Response:
        """Of a `video-plan` job that is done: get the plan, change `decision` and `style` of tracks, `areas` (by frame)
        and `settings.look`, and put it back. A `video` job with `plan_of` renders it as it is at that moment."""
        job = service.find(owner, job_id)
        service.plan(job)
        if job.kind != "video-plan" or job.outcome is None:
            raise Problem("no-result", "only the plan of a video-plan job can be replaced. Nothing was changed.")
        data = await uploads.receive_bytes(request, max_bytes=service.settings.max_plan_bytes,
                                           seconds=service.settings.upload_s)
        width, height = job.outcome["size"]
        async with service.reading_plans:  # each takes many times its size for a moment
            made = await asyncio.to_thread(plans.checked, data, sha256=job.outcome["sha256"], size=(width, height),
                                           frames=job.outcome["frames"])
        tracks = plans.decisions(made, job.outcome["tracks"])
        service.replace_plan(job, data, {**job.outcome, "tracks": tracks})
        return _answer(service, service.find(owner, job_id), 200)

    @app.delete("/v1/jobs/{job_id}", tags=["jobs"], summary="Stop a job and delete everything of it", status_code=204,
                responses=described("unauthorised", "not-found", "invalid"))
    async def delete(job_id: str, owner: Owner, service: Hub) -> None:
        job = service.find(owner, job_id)
        if job.state not in DELETED:
            service.delete(job)


def _answer(service: Service, job: Job, status: int) -> JSONResponse:
    # Through the model, so that what goes out is what the OpenAPI document says
    document = JobDocument.model_validate(job_document(service, job)).model_dump(mode="json", by_alias=True)
    return JSONResponse(document, status, {"Location": f"/v1/jobs/{job.id}"})


def file_answer(service: Service, job: Job) -> Response:
    """The file a job has made, under the name its owner knows. Raises Problem where there is none."""
    path, media_type = service.result(job)
    return _sent(job, path, media_type, shown_as=documents.named_like(path.name, service.name(job)))


def _sent(job: Job, path: Path, media_type: str, *, shown_as: str | None) -> Response:
    try:
        file = open(path, "rb")  # read below, after this returns, even where it is deleted meanwhile
        size = path.stat().st_size
    except FileNotFoundError:
        raise gone(job) from None
    name = path.name if shown_as is None else shown_as
    return StreamingResponse(_pieces(file), media_type=media_type, headers={
        "Content-Length": str(size), "Location": f"/v1/jobs/{job.id}",
        "Content-Disposition": as_attachment(name)})


def as_attachment(name: str) -> str:
    """The header that makes a browser keep a file under this name, whatever is in it."""
    plain = re.sub(r'[^A-Za-z0-9._-]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_CHUNK):
            yield piece


# --- uploads ------------------------------------------------------------------------------------------------------


async def take(request: Request, service: Service, owner: str, key: str | None, *, only: str | None = None,
               more: Mapping[str, Any] = MappingProxyType({})) -> Job:
    """The job that a request hands in. Raises Problem; then nothing of the upload is left.

    Args:
        only: the kind, where a request cannot name another.
        more: options that are ours to choose, not the client's.
    """
    settings = service.settings
    larger = {} if only else {"clip": settings.max_clip_bytes, "plan": settings.max_plan_bytes}
    with service.uploading(owner) as (id, folder):
        upload = await uploads.receive(
            request, folder, files=FILES if only is None else {"file": FILES["file"]},
            fields=("options", "keep_s") if only else ("kind", "options", "keep_s", "photo_of", "plan_of"),
            max_bytes=settings.max_upload_bytes, larger=larger, seconds=settings.upload_s,
            min_free_bytes=settings.min_free_bytes)
        name = only or upload.fields.get("kind", "")
        if name not in KINDS:
            raise Problem("invalid", f"kind is {name[:40]!r}; choose {', '.join(KINDS)}. Nothing was kept.")
        kind = KINDS[name]
        _lend(service, owner, kind, upload, folder)
        for part in kind.needed:
            if part not in upload.files:
                raise Problem("invalid", f"the part {part!r} with the file is missing. Nothing was kept.")
        if surplus := set(upload.files) - {*kind.needed, *kind.optional}:
            raise Problem("invalid", f"a {name} job takes no {surplus.pop()!r}. Nothing was kept.")
        options = {**_options(kind, upload.fields.get("options")), **more}
        keep_s = _seconds(upload.fields.get("keep_s"), settings.keep_s)
        if kind.line == "clips":
            await _check_clip(service, upload, options)
        return service.submit(
            id, owner=owner, kind=name, options=options, upload=upload, keep_s=keep_s,
            key_hash=None if key is None else hashlib.sha256(key.encode()).hexdigest(),
            fingerprint=fingerprint(name, options, keep_s, upload))


def fingerprint(kind: str, options: Mapping[str, Any], keep_s: float, upload: uploads.Upload) -> str:
    """The same for the same request, and for no other."""
    files = {part: file.sha256 for part, file in sorted(upload.files.items())}
    return hashlib.sha256(json.dumps([kind, dict(options), keep_s, files], sort_keys=True).encode()).hexdigest()


def _lend(service: Service, owner: str, kind: kinds.Kind, upload: uploads.Upload, folder: Path) -> None:
    """Files of earlier jobs, where the request names one instead of sending them again."""
    if "photo_of" in upload.fields:
        if kind.main != "file" or "file" in upload.files:
            raise Problem("invalid", "photo_of stands for the part 'file' of a job about a photo, which came too or is "
                                     "not needed. Nothing was kept.")
        job = service.find(owner, upload.fields["photo_of"])
        if KINDS[job.kind].main != "file":
            raise Problem("invalid", f"photo_of names a {job.kind} job, which is about a clip. Nothing was kept.")
        upload.files["file"] = service.lend(job, folder, "file")
    if "plan_of" in upload.fields:
        if "plan" not in kind.optional or {"clip", "plan"} & set(upload.files):
            raise Problem("invalid", "plan_of stands for the parts 'clip' and 'plan' of a video job, which came too or "
                                     "are not needed. Nothing was kept.")
        upload.files |= service.lend_clip(service.find(owner, upload.fields["plan_of"]), folder)


async def _check_clip(service: Service, upload: uploads.Upload, options: dict[str, Any]) -> None:
    """That the choices and the plan are for this very clip. Raises Problem."""
    sha256 = upload.files["clip"].sha256
    if options.get("sha256") not in (None, sha256):
        raise Problem("choices-invalid", f"clip: is not the clip that was decided about (its sha256 is {sha256[:12]}..."
                                         "). Nothing was kept.")
    if "plan" in upload.files and "plan_of" not in upload.fields:  # a plan of ours was read when it came
        async with service.reading_plans:
            await asyncio.to_thread(plans.checked, upload.files["plan"].path.read_bytes(), sha256=sha256)


def _options(kind: kinds.Kind, text: str | None) -> dict[str, Any]:
    try:
        return kinds.as_json(kind.options() if not text else kind.options.model_validate_json(text))
    except ValidationError as error:
        raise Problem("invalid", f"options: {_words(error.errors()[0])}. Nothing was kept.") from None


def _seconds(text: str | None, longest: int) -> float:
    if not text:
        return longest
    try:
        return TypeAdapter(Annotated[int, Query(ge=1, le=longest)]).validate_python(text)
    except ValidationError:
        raise Problem("invalid", f"keep_s is {text[:40]!r}; give whole seconds from 1 to {longest}. "
                                 "Nothing was kept.") from None


def _body(first: str, options: type | None) -> dict[str, Any]:
    """The OpenAPI description of an upload, which is read as it comes and so has no parameters of Python's."""
    file = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, TIFF, HEIC or AVIF."}
    of_kind = [options] if options else [kind.options for kind in KINDS.values()]
    properties: dict[str, Any] = {
        "file": file,
        "options": {"anyOf": [{"$ref": f"#/components/schemas/{model.__name__}"} for model in of_kind]}
        if options is None else {"$ref": f"#/components/schemas/{options.__name__}"},
        "keep_s": {"type": "integer", "minimum": 1, "description": "Delete everything after so many seconds."},
    }
    if options is None:
        properties = {"kind": {"type": "string", "enum": sorted(KINDS), "description": "; ".join(
            f"`{name}` {kind.words}" for name, kind in KINDS.items())}, **properties,
            "photo_of": {"type": "string", "description": "Instead of `file`: the id of an earlier job with the same "
                                                          "photo, so that it is not sent again."},
            "clip": {**file, "description": "MP4, MOV, MKV, WebM, AVI, MPEG, ...; for `video-plan` and `video`."},
            "plan": {**file, "description": "For `video`: a plan of this clip, as `cloak video --plan-only` makes it. "
                                            "Without one every face that is seen is covered."},
            "plan_of": {"type": "string", "description": "Instead of `clip` and `plan`: the id of an earlier job about "
                                                         "the clip."},
            "original": {**file, "description": "The unprotected photo, for `check`."}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {
        "schema": {"type": "object", "required": [first],
                   "properties": properties, "additionalProperties": False},
        "encoding": {"options": {"contentType": "application/json"}}}}}}


# --- problems and the document ------------------------------------------------------------------------------------


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return Problem("method-not-allowed", "another method may do it; see `Allow`.", headers=error.headers).response
    if error.status_code == 404:
        return Problem("not-found", "see /v1/openapi.json for what there is.").response
    return Problem("invalid", "the request is not understood.").response


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return Problem("invalid", f"{_words(error.errors()[0])}.").response


def _words(error: Any) -> str:
    """Where and what, without what was sent: that may be anything."""
    where = ".".join(str(part)[:40] for part in error["loc"])
    return f"{where or 'the text'}: {error['msg']}"


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document["components"]["schemas"]
        for left_over in ("HTTPValidationError", "ValidationError"):
            schemas.pop(left_over, None)
        schemas["Problem"] = problems.SCHEMA
        for kind in KINDS.values():
            model = kind.options.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(model.pop("$defs", {}))
            schemas[kind.options.__name__] = model
        app.openapi_schema = document
    return app.openapi_schema


