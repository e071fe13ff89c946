"""The video page: who is in the clip, who is hidden, what a second look at the written clip found."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from web import documents
from web.kinds import VideoOptions, as_json
from web.store import DELETED, Job
from web.studio import parts, texts
from web.studio.access import Tab

if TYPE_CHECKING:
    from web.studio.page import Pages

_ACCEPTED = ".mp4,.m4v,.mov,.mkv,.webm,.avi,.mts,.m2ts,.mpg,.mpeg,.3gp,video/*"
_MOST_FOUND = 200  # times that are listed; more are in the report
_ROOM = 0.5  # around a face, in sizes of it
_AROUND_S = 0.5  # the second look sees one frame in ten


@dataclass(slots=True)
class Desk:
    """What the video page remembers of a tab: one clip. The jobs know the rest."""

    look: str | None = None  # id of the job that followed the faces
    wish: dict[str, Any] = field(default_factory=dict)  # what a person chose, as clip.js says it
    job: str | None = None  # id of the job that covers them
    message: str = ""
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)


def build(pages: Pages) -> None:
    """Fills the tab."""
    settings = pages.service.settings
    gr.Markdown(texts.VIDEO_ADVICE, elem_classes="fc-advice")
    with gr.Column() as bring:
        drop = parts.drop(
            pages, "video-plan", {"clip": texts.A_CLIP}, accept=_ACCEPTED, max_bytes=settings.max_clip_bytes,
            elem_id="fc-clip-drop", help=texts.VIDEO_HELP.format(megabytes=f"{settings.max_clip_bytes // 2**20:,}",
                                                                 minutes=f"{settings.max_clip_s / 60:g}"))
    message = gr.HTML("", apply_default_css=False, visible=False, elem_id="fc-clip-message")
    with gr.Column(visible=False, elem_id="fc-clip-choose") as choose:
        clip = gr.HTML({}, html_template='<div class="fc-clip"></div>', apply_default_css=False,
                       js_on_load=parts.script("clip.js", texts.CLIP), clip={}, elem_id="fc-clip")
        with gr.Row(elem_classes="fc-ways"):
            style = gr.Radio(texts.STYLES, value="solid", label=texts.STYLE_LABEL, info=texts.STYLE_INFO)
            audio = gr.Radio(texts.AUDIO, value="keep", label=texts.AUDIO_LABEL, info=texts.AUDIO_INFO)
        paranoid = gr.Checkbox(False, label=texts.PARANOID_LABEL)
    with gr.Row(elem_classes="fc-buttons"):
        start = gr.Button(texts.CLIP_START, variant="primary", visible=False, elem_id="fc-clip-start")
        cancel = gr.Button(texts.CANCEL, visible=False, elem_id="fc-clip-cancel")
    result = gr.HTML("", apply_default_css=False, visible=False, js_on_load=parts.asset("seek.js"),
                     elem_id="fc-clip-result")
    with gr.Row(elem_classes="fc-buttons"):
        cover = gr.Button(texts.CLIP_COVER_FOUND, variant="primary", visible=False, elem_id="fc-clip-cover")
        again = gr.Button(texts.AGAIN, visible=False, elem_id="fc-clip-again")
        remove = gr.Button(texts.CLIP_REMOVE, visible=False, elem_id="fc-clip-remove")
    timer = gr.Timer(0.5, active=False)
    screen = parts.Screen(bring=bring, message=message, choose=choose, clip=clip, start=start, cancel=cancel,
                          result=result, cover=cover, again=again, remove=remove, timer=timer)

    def shown(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        return screen.changes(desk.shown, _wanted(pages, tab, desk))

    async def on_upload(tab: Tab, value: dict[str, Any]) -> list[Any]:
        desk, newest = tab.desk(Desk), str(value["jobs"][-1])
        if newest != desk.look:
            job = pages.job(tab, newest)
            _drop(pages, tab, desk)  # one clip at a time: a second one would wait for the first all the same
            desk.look, desk.wish, desk.message = job.id, {}, ""
        return shown(tab)

    async def on_tick(tab: Tab) -> list[Any]:
        return shown(tab)

    async def on_wish(tab: Tab, wish: dict[str, Any]) -> None:
        _note(tab.desk(Desk), wish)

    async def on_start(tab: Tab, wish: dict[str, Any], style: str, audio: str, paranoid: bool) -> list[Any]:
        desk = tab.desk(Desk)
        _note(desk, wish)
        if desk.look is not None and _state(pages, tab, desk) == "choosing":
            _start(pages, tab, desk, style, audio, paranoid)
        desk.message = ""
        return shown(tab)

    async def on_cancel(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        if desk.look is not None and desk.job is None:
            _drop(pages, tab, desk)
            desk.message = texts.CANCELLED
        elif desk.job is not None:
            pages.service.delete(pages.job(tab, desk.job))
            desk.job, desk.message = None, texts.CANCELLED
        return shown(tab)

    async def on_again(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        if desk.job is not None:
            pages.service.delete(pages.job(tab, desk.job))
            desk.job, desk.message = None, ""
        return shown(tab)

    async def on_cover(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        if desk.job is not None and (outcome := pages.job(tab, desk.job).outcome or {}).get("found_again"):
            areas = [*desk.wish.get("areas", []), *map(_area_of, outcome["found_again"][:_MOST_FOUND])]
            pages.service.delete(pages.job(tab, desk.job))
            desk.wish = {**desk.wish, "key": desk.look, "areas": areas}
            desk.job, desk.message = None, texts.CLIP_COVERED_FOUND
        return shown(tab)

    async def on_remove(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        _drop(pages, tab, desk)
        desk.message = ""
        return shown(tab)

    for event, act, inputs in (
            (drop.upload, on_upload, [drop]), (timer.tick, on_tick, []),
            (start.click, on_start, [clip, style, audio, paranoid]), (cancel.click, on_cancel, []),
            (cover.click, on_cover, []), (again.click, on_again, []), (remove.click, on_remove, [])):
        event(pages.handler(act), inputs, screen.outputs, show_progress="hidden", api_visibility="private",
              trigger_mode="once" if act is on_tick else "multiple")
    clip.change(pages.handler(on_wish), [clip], [], show_progress="hidden", api_visibility="private",
                trigger_mode="always_last")


def _note(desk: Desk, wish: dict[str, Any]) -> None:
    """Keeps a choice with the clip it was made on."""
    if wish and wish.get("key") == desk.look:
        desk.wish = wish


def _drop(pages: Pages, tab: Tab, desk: Desk) -> None:
    """Deletes everything of the clip."""
    for id in (desk.look, desk.job):
        if id is not None:
            pages.service.delete(pages.job(tab, id))
    desk.look, desk.job, desk.wish = None, None, {}


def _start(pages: Pages, tab: Tab, desk: Desk, style: str, audio: str, paranoid: bool) -> None:
    assert desk.look is not None
    outcome = pages.job(tab, desk.look).outcome or {}
    chosen = desk.wish.get("tracks", {})
    # Whoever was not decided on is hidden, and so is whoever the page does not know
    wish = VideoOptions.model_validate({
        "style": style, "paranoid": paranoid, "audio": audio, "sha256": outcome.get("sha256"),
        "keep": [track["number"] for track in outcome.get("tracks", []) if chosen.get(str(track["number"])) == "keep"],
        "regions": desk.wish.get("areas", []),
        # What pages and phones play, whatever it came in
        "container": "webm" if outcome.get("container") == "webm" else "mp4",
    })
    desk.job = pages.hand_in(tab, "video", as_json(wish), plan_of=desk.look).id


def _area_of(found: dict[str, Any]) -> dict[str, Any]:
    """Where the second look saw something, as an area with room around it, for a little longer: faces move."""
    x1, y1, x2, y2 = found["box"]
    room = _ROOM * max(x2 - x1, y2 - y1)
    left, top = math.floor(x1 - room), math.floor(y1 - room)
    return {"x": left, "y": top, "width": math.ceil(x2 + room) - left, "height": math.ceil(y2 + room) - top,
            "from_s": round(max(found["from_s"] - _AROUND_S, 0.0), 1), "to_s": round(found["to_s"] + _AROUND_S, 1)}


# --- what the page shows ------------------------------------------------------------------------------------------


def _state(pages: Pages, tab: Tab, desk: Desk) -> str:
    if desk.look is None:
        return "empty"
    look = pages.job(tab, desk.look)
    if not look.is_finished:
        return "looking"
    if look.state != "done":
        return "failed"
    job = None if desk.job is None else pages.job(tab, desk.job)
    if job is None or job.state == "failed":
        return "choosing"
    if not job.is_finished:
        return "working"
    return "failed" if job.state in DELETED else "done"


def _wanted(pages: Pages, tab: Tab, desk: Desk) -> dict[str, dict[str, Any]]:
    """Name of a component -> what it should show."""
    state = _state(pages, tab, desk)
    hidden: dict[str, Any] = {"visible": False}
    wanted = {name: hidden for name in ("message", "choose", "start", "cancel", "result", "cover", "again", "remove")}
    wanted["timer"] = {"active": state in ("looking", "working")}
    wanted["bring"] = {"visible": state in ("empty", "failed")}
    message = parts.paragraph(desk.message) if desk.message else ""
    look = None if desk.look is None else pages.job(tab, desk.look)
    job = None if desk.job is None else pages.job(tab, desk.job)
    if look is None:
        pass
    elif state == "looking":
        message, wanted["cancel"] = parts.waiting(pages, look, texts.CLIP_LOOKING), {"visible": True}
    elif state == "failed":
        message = _failure(job if job is not None and look.state == "done" else look)
        wanted["remove"] = {"visible": True}
    elif state == "choosing":
        if job is not None:
            message = _failure(job)
        wanted["choose"] = wanted["start"] = wanted["remove"] = {"visible": True}
        wanted["clip"] = _choosing(pages, tab, desk, look)
    elif state == "working":
        assert job is not None
        message, wanted["cancel"] = parts.waiting(pages, job, texts.CLIP_WORKING), {"visible": True}
    else:
        assert job is not None
        wanted["result"] = {"visible": True, "value": _result(pages, tab, job)}
        wanted["again"] = wanted["remove"] = {"visible": True}
        wanted["cover"] = {"visible": bool((job.outcome or {}).get("found_again"))}
    if message:
        wanted["message"] = {"visible": True, "value": message}
    return wanted


def _failure(job: Job) -> str:
    """As of photos, but for words that speak of one."""
    words = texts.CLIP_PROBLEMS.get(job.problem["code"]) if job.problem is not None else None
    return parts.failure(job) if words is None else parts.paragraph(words, kind="wrong")


def _choosing(pages: Pages, tab: Tab, desk: Desk, look: Job) -> dict[str, Any]:
    outcome = look.outcome or {}

    def url(file: str) -> str:
        return pages.url(tab, look, file)

    moments = [{"seconds": moment["seconds"], "why": moment["why"], "url": url(moment["picture"]),
                "boxes": moment["boxes"]} for moment in outcome["moments"]]
    ends = [outcome["duration_s"] or 0.0, *(moment["seconds"] for moment in moments)]
    clip = {"key": look.id, "size": outcome["size"], "end_s": max(ends), "moments": moments, "tracks": [
        {name: track[name] for name in ("number", "from_s", "to_s", "risks")} | {
            "pictures": [url(file) for file in track["pictures"]]} for track in outcome["tracks"]]}
    # What a person changes there goes on from what was sent: the browser has the newer one
    is_there = desk.shown.get("clip", {}).get("clip") == clip and desk.shown.get("choose") == {"visible": True}
    return {"clip": clip, "value": desk.shown["clip"]["value"] if is_there else desk.wish}


def _result(pages: Pages, tab: Tab, job: Job) -> str:
    document = documents.job_document(pages.service, job)
    report, found = document["report"], document["found_again"]
    kind, sentence = headline(report, found)
    is_wrong = kind == "wrong"
    download = texts.CLIP_DOWNLOAD_ALL_THE_SAME if is_wrong else texts.CLIP_DOWNLOAD
    look = "fc-button" if is_wrong else "fc-button fc-primary"
    lines = [f"<p>{escape(report['words'])}</p>"]
    if found:
        lines.append(_times(found))
    minutes = round(min(pages.access.after_download_s, max(0.0, job.expires - time.time())) / 60) or 1
    lines.append(
        f'<p class="fc-downloads"><a class="{look}" id="fc-clip-download" download '
        f'href="{escape(pages.url(tab, job, "result"))}">{escape(download.format(name=report["output"]))}</a> '
        f'<a class="fc-button" id="fc-clip-download-report" download href="{escape(pages.url(tab, job, "report"))}">'
        f"{escape(texts.CLIP_REPORT)}</a></p>"
        f'<p class="fc-help">{escape(texts.CLIP_DELETED_LATER.format(minutes=minutes))}</p>')
    if said := [*report["left_out"], *report["notes"]]:
        lines.append(f"<details><summary>{escape(texts.CLIP_NOTES)}</summary><ul>"
                     f"{''.join(f'<li>{escape(one)}</li>' for one in said)}</ul></details>")
    video = (f'<video controls preload="metadata" playsinline aria-label="{escape(texts.CLIP_PREVIEW)}" '
             f'src="{escape(pages.url(tab, job, "preview"))}"></video>'
             f'<p class="fc-help">{escape(texts.CLIP_NO_PREVIEW)}</p>')
    return (f'<section class="fc-watch" aria-label="{escape(texts.CLIP_RESULT)}"><div>{video}</div>'
            f'<div class="fc-verdict"><p class="fc-box fc-{kind}" role="status">{escape(sentence)}</p>'
            f"{''.join(lines)}</div></section>")


def headline(report: dict[str, Any], found: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """(kind of box, sentence) on the whole clip. Never that it is safe: nobody has seen every frame."""
    if found:
        return "wrong", texts.CLIP_LOOK
    if report["troubles"] or report["uncovered_s"]:
        return "wrong", texts.CLIP_TROUBLE
    if not report["regions"] and all(track["decision"] == "keep" for track in report["tracks"]):
        return "look", texts.CLIP_KEPT
    return "look", texts.CLIP_NOTHING


def _times(found: Sequence[dict[str, Any]]) -> str:
    buttons = ""
    for one in found[:_MOST_FOUND]:
        words = texts.CLIP_SHOW.format(start=one["from"])
        span = texts.CLIP_FOUND.format(start=one["from"], end=one["to"])
        buttons += (f'<li><button type="button" class="fc-button fc-small" data-at="{one["from_s"]:.3f}" '
                    f'title="{escape(span)}">{escape(words)}</button></li>')
    return f'<ul class="fc-found">{buttons}</ul>'
