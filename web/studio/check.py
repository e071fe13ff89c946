"""The check page: is the face of the original still matched in the file that was published?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr

from web import documents
from web.studio import parts, texts, verdict
from web.studio.access import Tab

if TYPE_CHECKING:
    from web.studio.page import Pages


@dataclass(slots=True)
class Desk:
    """What the check page remembers of a tab."""

    job: str | None = None  # id of the newest check
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)


def build(pages: Pages) -> None:
    """Fills the tab."""
    gr.Markdown(texts.CHECK_ADVICE, elem_classes="fc-advice")
    drop = parts.drop(pages, "check", {"file": texts.CHECK_PUBLISHED, "original": texts.CHECK_ORIGINAL},
                      button=texts.CHECK_BUTTON, elem_id="fc-check-drop")
    answer = gr.HTML("", apply_default_css=False, elem_id="fc-check-answer")
    cancel = gr.Button(texts.CANCEL, visible=False, elem_id="fc-check-cancel")
    timer = gr.Timer(0.5, active=False)
    screen = parts.Screen(answer=answer, cancel=cancel, timer=timer)

    def shown(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        return screen.changes(desk.shown, _wanted(pages, tab, desk))

    async def on_upload(tab: Tab, value: dict[str, Any]) -> list[Any]:
        desk = tab.desk(Desk)
        newest = pages.job(tab, str(value["jobs"][-1])).id
        if desk.job is not None and desk.job != newest:
            pages.service.delete(pages.job(tab, desk.job))
        desk.job = newest
        return shown(tab)

    async def on_tick(tab: Tab) -> list[Any]:
        return shown(tab)

    async def on_cancel(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        if desk.job is not None:
            pages.service.delete(pages.job(tab, desk.job))
            desk.job = None
        return shown(tab)

    for event, act, inputs in ((drop.upload, on_upload, [drop]), (timer.tick, on_tick, []),
                               (cancel.click, on_cancel, [])):
        event(pages.handler(act), inputs, screen.outputs, show_progress="hidden", api_visibility="private",
              trigger_mode="once" if act is on_tick else "multiple")


def _wanted(pages: Pages, tab: Tab, desk: Desk) -> dict[str, dict[str, Any]]:
    job = None if desk.job is None else pages.job(tab, desk.job)
    is_working = job is not None and not job.is_finished
    answer = ""
    if job is not None and is_working:
        answer = parts.waiting(pages, job, texts.CHECKING)
    elif job is not None and job.state == "done":
        document = documents.job_document(pages.service, job)
        answer = verdict.as_html(document["report"], is_protected=bool(document["is_protected"]))
    elif job is not None:
        answer = parts.failure(job)
    return {"answer": {"value": answer}, "cancel": {"visible": is_working}, "timer": {"active": is_working}}
