"""What goes between the browser and the jobs without Gradio: uploads, pictures to look at, downloads."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.responses import FileResponse, JSONResponse

from web import api, documents
from web.jobs import Service, gone
from web.problems import Problem
from web.store import DELETED, Job
from web.studio.access import Access, Tab, Visitor
from web.studio.gate import ROOT

TAB_HEADER = "X-Facecloak-Tab"


def add_routes(app: FastAPI, service: Service, access: Access) -> None:
    """Routes below /studio, which the gate guards. They stand in no OpenAPI document: nobody else is to use them."""

    @app.post(ROOT + "/jobs", include_in_schema=False)
    async def hand_in(request: Request) -> Response:
        """An upload becomes a job of the tab. Its pictures to look at are made along."""
        tab = _tab(request, access, request.headers.get(TAB_HEADER, ""))
        job = await api.take(request, service, tab.owner, None, more={"view": True})
        if tab.is_closed:  # while the upload arrived
            service.delete(job)
        return JSONResponse({"id": job.id, "kind": job.kind})

    @app.get(ROOT + "/files/{tab_id}/{job_id}/{what}", include_in_schema=False)
    async def file(request: Request, tab_id: str, job_id: str, what: str) -> Response:
        """`result` and `report` to keep, `preview` is the result to look at; other names are those of `views`."""
        job = service.find(_tab(request, access, tab_id).owner, job_id)
        if job.state in DELETED:
            raise gone(job)
        if what in ("result", "report"):
            answer = api.file_answer(service, job) if what == "result" else _report(service, job)
            service.hasten(job, access.after_download_s)
            return answer
        return _shown(service, job, what)


def _tab(request: Request, access: Access, id: str) -> Tab:
    visitor = request.scope.get("state", {}).get("visitor")
    assert isinstance(visitor, Visitor), "the gate lets nobody else pass"
    tab = access.tab(visitor, id)
    if tab is None:
        raise Problem("not-found", "this page was closed. Load it again.")
    return tab


def _shown(service: Service, job: Job, name: str) -> Response:
    """A picture or clip on the page; clips are asked for in ranges."""
    outcome: dict[str, Any] = job.outcome or {}
    view = outcome.get("result") if name == "preview" else outcome.get("views", {}).get(name)
    if view is None:
        raise Problem("no-result", "there is no such picture.")
    path = service.folders.of(job.id) / view["file"]
    if not path.is_file():
        raise gone(job)
    return FileResponse(path, media_type=view["media_type"], content_disposition_type="inline",
                        headers={"Content-Security-Policy": "default-src 'none'"})


def _report(service: Service, job: Job) -> Response:
    """The report as the command line writes it, with the names the person knows."""
    report = documents.job_document(service, job)["report"]
    if report is None:
        raise Problem("no-result", "there is no report.")
    name = (report["output"] or report["input"] or "photo") + ".json"
    return Response(json.dumps(report, indent=2) + "\n", media_type="application/json",
                    headers={"Content-Disposition": api.as_attachment(name)})
