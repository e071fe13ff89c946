"""The page: its frame and tabs, and how what a person does there reaches our functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

import gradio as gr
from fastapi import FastAPI

from web import api, logs
from web.jobs import Service
from web.problems import Problem
from web.store import Job
from web.studio import check, look, parts, photo, texts, video
from web.studio.access import Access, Tab
from web.studio.gate import ROOT, cookie_of
from web.uploads import Upload

Handler = Callable[..., Awaitable[Any]]


class Pages:
    """What every tab of the page builds on: the jobs, and the way of an event to a function."""

    def __init__(self, service: Service, access: Access) -> None:
        self.service, self.access = service, access

    def handler(self, act: Handler) -> Handler:
        """`act(tab, *values)` as Gradio wants it. Whatever it raises ends here, as words: no trace, no file name.

        Every function runs in the event loop of the service, as the job store demands; so `act` is `async`.
        """
        if not inspect.iscoroutinefunction(act):
            raise TypeError(f"{act.__name__} is not async, so Gradio would run it in another thread")

        @functools.wraps(act)
        async def guard(request: gr.Request, *values: Any) -> Any:
            try:
                return await act(self.tab(request), *values)
            except Problem as problem:
                raise _error(problem.document["title"], problem.detail) from None
            except gr.Error:
                raise
            except Exception as error:
                logs.event("defect", where=logs.where(error))
                raise _error(texts.ERROR_TITLE, texts.BROKEN) from None

        # Gradio finds out by the signature what to hand over; it must see this one's, not that of `act`
        del guard.__wrapped__
        guard.__annotations__ = {"request": gr.Request}
        return guard

    def tab(self, request: gr.Request) -> Tab:
        """Whose page an event comes from. Raises gr.Error where that page was closed."""
        visitor = self.access.visitor(cookie_of(request.request.scope))
        tab = None if visitor is None else self.access.tab_of(visitor, request.session_hash)
        if tab is None:
            raise _error(texts.ERROR_TITLE, texts.TAB_CLOSED)
        return tab

    def hand_in(self, tab: Tab, kind: str, options: dict[str, Any], *, photo_of: str | None = None,
                plan_of: str | None = None) -> Job:
        """A job on the photo of an earlier job of the same tab, or on its clip with the plan. Raises Problem."""
        service, keep_s = self.service, float(self.service.settings.keep_s)
        with service.uploading(tab.owner) as (id, folder):
            if photo_of is not None:
                upload = Upload(files={"file": service.lend(service.find(tab.owner, photo_of), folder, "file")})
            else:
                assert plan_of is not None
                upload = Upload(files=service.lend_clip(service.find(tab.owner, plan_of), folder))
            return service.submit(id, owner=tab.owner, kind=kind, options=options, upload=upload, keep_s=keep_s,
                                  key_hash=None, fingerprint=api.fingerprint(kind, options, keep_s, upload))

    def job(self, tab: Tab, id: str) -> Job:
        """Raises Problem where the tab has no such job."""
        return self.service.find(tab.owner, id)

    def url(self, tab: Tab, job: Job, what: str) -> str:
        """Where the browser gets a file of a job. See `files`."""
        return f"{ROOT}/files/{tab.id}/{job.id}/{what}"


def mount(app: FastAPI, pages: Pages) -> None:
    """Adds the page to the application."""
    gr.mount_gradio_app(
        app, _blocks(pages), path=ROOT, footer_links=[], run_history=False, show_error=False, ssr_mode=False, pwa=False,
        enable_monitoring=False, mcp_server=False, allowed_paths=[], theme=look.THEME,
        css=parts.asset("look.css") + parts.asset("clip.css"),
        head=look.HEAD + f"<script>{parts.asset('common.js')}{parts.asset('areas.js')}</script>")


def _blocks(pages: Pages) -> gr.Blocks:
    where = texts.HERE if pages.service.settings.is_loopback else texts.THERE
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(look.header(texts.TITLE, texts.SUBTITLE.format(where=where), leave=ROOT + "/leave"))
        tab_id = gr.HTML("", html_template="", js_on_load="watch('value', () => window.facecloak.setTab(props.value));",
                         visible="hidden", elem_id="fc-tab")
        with gr.Tabs():
            with gr.Tab(texts.PHOTO_TAB, id="photo"):
                photo.build(pages)
            with gr.Tab(texts.VIDEO_TAB, id="video"):
                video.build(pages)
            with gr.Tab(texts.CHECK_TAB, id="check"):
                check.build(pages)

        async def on_load(request: gr.Request) -> str:
            visitor = pages.access.visitor(cookie_of(request.request.scope))
            if visitor is None or request.session_hash is None:
                raise _error(texts.ERROR_TITLE, texts.TAB_CLOSED)
            return pages.access.open_tab(visitor, request.session_hash).id

        async def on_unload(request: gr.Request) -> None:
            if request.session_hash is not None:
                pages.access.connection_ended(request.session_hash)

        blocks.load(on_load, outputs=tab_id, show_progress="hidden", api_visibility="private")
        blocks.unload(on_unload)
    blocks.queue(default_concurrency_limit=None, api_open=False)
    return blocks


def _error(title: str, detail: str) -> gr.Error:
    # Gradio shows it as HTML
    return gr.Error(escape(detail, quote=False), title=title, duration=None, print_exception=False)
