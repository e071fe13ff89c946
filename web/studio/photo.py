"""The photo page: who is in the picture, what happens to whom, what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from web import documents
from web.kinds import ProtectOptions, as_json
from web.store import DELETED, Job
from web.studio import parts, texts, verdict
from web.studio.access import Tab

if TYPE_CHECKING:
    from web.studio.page import Pages


@dataclass(slots=True)
class Item:
    """One photo of a tab. The jobs know the rest."""

    look: str  # id of the job that found the faces
    wish: dict[str, Any] = field(default_factory=dict)  # what a person chose, as faces.js says it
    job: str | None = None  # id of the job that treats them


@dataclass(slots=True)
class Desk:
    """What the photo page remembers of a tab."""

    items: list[Item] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)  # jobs that came from the drop zone, also of photos since removed
    current: int = 0
    message: str = ""
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def item(self) -> Item | None:
        """The photo that is looked at."""
        return self.items[self.current] if self.items else None


def build(pages: Pages) -> None:
    """Fills the tab."""
    megabytes = pages.service.settings.max_upload_bytes // 2**20
    gr.Markdown(texts.ADVICE, elem_classes="fc-advice")
    drop = parts.drop(pages, "detect", {"file": texts.PHOTOS}, several=True, elem_id="fc-photo-drop",
                      help=texts.PHOTO_HELP.format(megabytes=megabytes))
    strip = gr.HTML({"html": "", "pick": 0}, html_template="${value.html}", js_on_load=parts.asset("strip.js"),
                    apply_default_css=False, visible=False, elem_id="fc-strip")
    message = gr.HTML("", apply_default_css=False, visible=False, elem_id="fc-message")
    # Not `visible`, which would take them from the page, with what a person did there
    with gr.Column(elem_classes=parts.OFF["elem_classes"], elem_id="fc-choose") as choose:
        faces = gr.HTML({}, html_template='<div class="fc-faces"></div>', photo={}, apply_default_css=False,
                        js_on_load=parts.script("faces.js", texts.FACES), elem_id="fc-faces")
        with gr.Row(elem_classes="fc-ways"):
            cover = gr.Radio(texts.COVERS, value="solid", label=texts.COVER_LABEL, info=texts.COVER_INFO)
            strength = gr.Radio(texts.STRENGTHS, value="balanced", label=texts.STRENGTH_LABEL, info=texts.STRENGTH_INFO)
            metadata = gr.Radio(texts.METADATA, value="strip", label=texts.METADATA_LABEL, info=texts.METADATA_INFO)
        ensure = gr.Checkbox(False, label=texts.ENSURE_LABEL)
    with gr.Row(elem_classes="fc-buttons"):
        start = gr.Button(texts.START, variant="primary", visible=False, elem_id="fc-start")
        start_all = gr.Button("", visible=False, elem_id="fc-start-all")
        cancel = gr.Button(texts.CANCEL, visible=False, elem_id="fc-cancel")
    with gr.Column(elem_classes=parts.OFF["elem_classes"], elem_id="fc-result") as result:
        compare = gr.HTML({}, html_template='<div class="fc-compare"></div>', apply_default_css=False,
                          js_on_load=parts.script("compare.js", texts.COMPARE), elem_id="fc-compare")
        judged = gr.HTML("", apply_default_css=False, elem_id="fc-judged")
    with gr.Row(elem_classes="fc-buttons"):
        again = gr.Button(texts.AGAIN, visible=False, elem_id="fc-again")
        remove = gr.Button(texts.REMOVE, visible=False, elem_id="fc-remove")
    timer = gr.Timer(0.5, active=False)
    screen = parts.Screen(strip=strip, message=message, choose=choose, faces=faces, start=start, start_all=start_all,
                          cancel=cancel, result=result, compare=compare, judged=judged, again=again, remove=remove,
                          timer=timer)

    def shown(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        return screen.changes(desk.shown, _wanted(pages, tab, desk))

    async def on_upload(tab: Tab, value: dict[str, Any]) -> list[Any]:
        desk = tab.desk(Desk)
        new = [Item(pages.job(tab, str(id)).id) for id in value["jobs"] if id not in desk.seen]
        desk.seen |= {item.look for item in new}
        if new:
            desk.current, desk.message = len(desk.items), ""
            desk.items += new
        return shown(tab)

    async def on_tick(tab: Tab) -> list[Any]:
        return shown(tab)

    async def on_pick(tab: Tab, value: dict[str, Any], wish: dict[str, Any]) -> list[Any]:
        desk = tab.desk(Desk)
        _note(desk, wish)
        desk.current, desk.message = min(max(int(value["pick"]), 0), max(len(desk.items) - 1, 0)), ""
        return shown(tab)

    async def on_wish(tab: Tab, wish: dict[str, Any]) -> None:
        _note(tab.desk(Desk), wish)

    async def on_start(tab: Tab, wish: dict[str, Any], cover: str, strength: str, metadata: str,
                       ensure: bool) -> list[Any]:
        desk = tab.desk(Desk)
        _note(desk, wish)
        if desk.item is not None:
            _start(pages, tab, desk.item, cover, strength, metadata, ensure)
        desk.message = ""
        return shown(tab)

    async def on_start_all(tab: Tab, wish: dict[str, Any], cover: str, strength: str, metadata: str,
                           ensure: bool) -> list[Any]:
        desk = tab.desk(Desk)
        _note(desk, wish)
        for item in desk.items:
            if _state(pages, tab, item) == "choosing":
                _start(pages, tab, item, cover, strength, metadata, ensure)
        desk.message = ""
        return shown(tab)

    async def on_cancel(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        if desk.item is not None and desk.item.job is not None:
            pages.service.delete(pages.job(tab, desk.item.job))
            desk.item.job, desk.message = None, texts.CANCELLED
        return shown(tab)

    async def on_again(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        if desk.item is not None and desk.item.job is not None:
            pages.service.delete(pages.job(tab, desk.item.job))
            desk.item.job, desk.message = None, ""
        return shown(tab)

    async def on_remove(tab: Tab) -> list[Any]:
        desk = tab.desk(Desk)
        if (item := desk.item) is not None:
            for id in (item.look, item.job):
                if id is not None:
                    pages.service.delete(pages.job(tab, id))
            desk.items.remove(item)
            desk.current, desk.message = max(0, min(desk.current, len(desk.items) - 1)), ""
        return shown(tab)

    ways = [faces, cover, strength, metadata, ensure]
    for event, act, inputs in (
            (drop.upload, on_upload, [drop]), (timer.tick, on_tick, []), (strip.click, on_pick, [strip, faces]),
            (start.click, on_start, ways), (start_all.click, on_start_all, ways), (cancel.click, on_cancel, []),
            (again.click, on_again, []), (remove.click, on_remove, [])):
        event(pages.handler(act), inputs, screen.outputs, show_progress="hidden", api_visibility="private",
              trigger_mode="once" if act is on_tick else "multiple")
    faces.change(pages.handler(on_wish), [faces], [], show_progress="hidden", api_visibility="private",
                 trigger_mode="always_last")


def _note(desk: Desk, wish: dict[str, Any]) -> None:
    """Keeps a choice with the photo it was made on, whichever is looked at by now."""
    for item in desk.items:
        if wish and item.look == wish.get("key"):
            item.wish = wish


def _start(pages: Pages, tab: Tab, item: Item, cover: str, strength: str, metadata: str, ensure: bool) -> None:
    look = pages.job(tab, item.look)
    outcome = look.outcome or {}
    how = {"hide": f"redact {cover}", "cloak": f"cloak {strength}", "keep": "keep"}
    chosen = item.wish.get("faces", {})
    # Whoever was not decided on is hidden, and so is whoever the page does not know
    wish = ProtectOptions.model_validate({
        "default": how["hide"],
        "faces": {str(face["number"]): how[chosen.get(str(face["number"]), "hide")]
                  for face in outcome.get("faces", [])},
        "regions": [{"x": x, "y": y, "width": width, "height": height, "treatment": how["hide"]}
                    for x, y, width, height in item.wish.get("areas", [])],
        "sha256": outcome.get("sha256"), "metadata": metadata, "ensure": ensure,
    })
    item.job = pages.hand_in(tab, "protect", {**as_json(wish), "view": True}, photo_of=look.id).id


# --- what the page shows ------------------------------------------------------------------------------------------


def _state(pages: Pages, tab: Tab, item: Item) -> str:
    """A key of `texts.STATE`."""
    look = pages.job(tab, item.look)
    job = None if item.job is None else pages.job(tab, item.job)
    if not look.is_finished:
        return "looking"
    if look.state != "done":
        return "failed"
    if job is None or job.state == "failed":
        return "choosing"
    if not job.is_finished:
        return "working"
    if job.state in DELETED:
        return "failed"
    return "done" if (job.outcome or {}).get("is_protected") else "look"


def _wanted(pages: Pages, tab: Tab, desk: Desk) -> dict[str, dict[str, Any]]:
    """Name of a component -> what it should show."""
    item = desk.item
    states = [_state(pages, tab, one) for one in desk.items]
    hidden: dict[str, Any] = {"visible": False}
    wanted = {name: hidden for name in ("message", "start", "start_all", "cancel", "again", "remove")}
    wanted |= {"choose": parts.OFF, "result": parts.OFF}
    wanted["timer"] = {"active": any(state in ("looking", "working") for state in states)}
    wanted["strip"] = {"visible": len(states) > 1,
                       "value": {"html": _strip(pages, tab, desk, states), "pick": desk.current}}
    if item is None:
        return wanted
    state, look = states[desk.current], pages.job(tab, item.look)
    job = None if item.job is None else pages.job(tab, item.job)
    wanted["remove"] = {"visible": state != "working"}
    message = parts.paragraph(desk.message) if desk.message else ""
    if state == "looking":
        message = parts.waiting(pages, look, texts.LOOKING)
    elif state == "failed":
        message = parts.failure(job if job is not None and look.state == "done" else look)
    elif state == "choosing":
        if job is not None:
            message = parts.failure(job)
        wanted |= {"choose": parts.ON, "start": {"visible": True}, "faces": _faces(pages, tab, item, look)}
    elif state == "working":
        assert job is not None
        message, wanted["cancel"] = parts.waiting(pages, job, texts.WORKING), {"visible": True}
    else:
        assert job is not None
        outcome = job.outcome or {}
        wanted |= {"result": parts.ON, "again": {"visible": True},
                   "compare": {"value": {"before": pages.url(tab, look, "photo"), "after": pages.url(tab, job, "photo"),
                                         "size": outcome["size"]}},
                   "judged": {"value": _judged(pages, tab, job)}}
    ready = states.count("choosing")
    if ready > 1:
        wanted["start_all"] = {"visible": True, "value": texts.START_ALL.format(count=ready)}
    if message:
        wanted["message"] = {"visible": True, "value": message}
    return wanted


def _faces(pages: Pages, tab: Tab, item: Item, look: Job) -> dict[str, Any]:
    outcome = look.outcome or {}
    shown: dict[str, Any] = tab.desk(Desk).shown.get("faces", {})
    if shown and shown["photo"]["key"] == look.id:  # while it is there the browser knows best what was chosen
        return shown
    return {"photo": {"key": look.id, "url": pages.url(tab, look, "photo"), "size": outcome["size"],
                      "faces": outcome["faces"], "wish": item.wish}}


def _strip(pages: Pages, tab: Tab, desk: Desk, states: list[str]) -> str:
    buttons = ""
    for i, (item, state) in enumerate(zip(desk.items, states)):
        look = pages.job(tab, item.look)
        name = pages.service.name(look) or texts.UNNAMED
        picture = f'<img src="{escape(pages.url(tab, look, "photo"))}" alt="">' if look.state == "done" else ""
        current = ' aria-current="true"' if i == desk.current else ""
        buttons += (f'<button type="button" class="fc-pick fc-state-{state}" data-pick="{i}"{current}>{picture}'
                    f"<span>{escape(name)}</span><small>{escape(texts.STATE[state])}</small></button>")
    return f'<div class="fc-strip" role="group" aria-label="{escape(texts.STRIP)}">{buttons}</div>'


def _judged(pages: Pages, tab: Tab, job: Job) -> str:
    document = documents.job_document(pages.service, job)
    is_protected, report = bool(document["is_protected"]), document["report"]
    words = texts.DOWNLOAD if is_protected else texts.DOWNLOAD_ALL_THE_SAME
    kind = "fc-button fc-primary" if is_protected else "fc-button"
    minutes = round(min(pages.access.after_download_s, max(0.0, job.expires - time.time())) / 60) or 1
    downloads = (
        f'<p class="fc-downloads"><a class="{kind}" id="fc-download" download '
        f'href="{escape(pages.url(tab, job, "result"))}">{escape(words.format(name=report["output"]))}</a> '
        f'<a class="fc-button" id="fc-download-report" download href="{escape(pages.url(tab, job, "report"))}">'
        f"{escape(texts.DOWNLOAD_REPORT)}</a></p>"
        f'<p class="fc-help">{escape(texts.DELETED_LATER.format(minutes=max(1, minutes)))}</p>')
    return verdict.as_html(report, is_protected=is_protected, downloads=downloads)
