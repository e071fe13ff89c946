"""What more than one tab of the page is made of."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import gradio as gr

from web.store import DELETED, Job
from web.studio import texts

if TYPE_CHECKING:
    from web.studio.page import Pages

# Of a column, to take it out of sight and back
OFF, ON = {"elem_classes": ["fc-off"]}, {"elem_classes": ["fc-shown"]}
_NEVER = object()  # shown by no component
ACCEPTED = ".jpg,.jpeg,.png,.webp,.tif,.tiff,.heic,.heif,.avif,image/*"


def asset(name: str) -> str:
    """A script or style of ours. It goes into the page itself: no request of its own."""
    return resources.files("web.studio").joinpath("assets").joinpath(name).read_text("utf-8")


def script(name: str, words: Mapping[str, str]) -> str:
    """What a component does in the browser, with the words it says there.

    Not as properties of the component: Gradio forgets all of them when it updates one.
    """
    return f"const words = {json.dumps(dict(words))};\n{asset(name)}"


def drop(pages: Pages, kind: str, wanted: Mapping[str, str], *, several: bool = False, button: str | None = None,
         help: str = "", accept: str = ACCEPTED, max_bytes: int | None = None, elem_id: str | None = None) -> gr.HTML:
    """Where files are dropped, chosen or pasted. Each upload becomes a job of the tab, without Gradio in between.

    Its `upload` event comes after every job that was handed in; its value is then `{"jobs": [id, ...]}`, newest last.

    Args:
        kind: of the jobs, see `web.kinds`.
        wanted: part of the upload -> what it is called on the page.
        several: many files, each a job of its own. Only with one part.
        button: what starts the upload. Without it files are sent as soon as they are there.
        accept: what the file dialog offers.
        max_bytes: of one file; what the service takes of a photo where none is given.
    """
    return gr.HTML(
        {"jobs": []}, html_template='<div class="fc-drop"></div>', js_on_load=script("drop.js", texts.DROP),
        elem_id=elem_id, apply_default_css=False, kind=kind, wanted=dict(wanted), several=several, button=button,
        help=help, accept=accept, max_bytes=max_bytes or pages.service.settings.max_upload_bytes)


def paragraph(words: str, *, kind: str = "note") -> str:
    """Words in a box: `note`, `good`, `look` (a person has to look) or `wrong`. Read out where it appears."""
    role = "alert" if kind == "wrong" else "status"
    return f'<p class="fc-box fc-{kind}" role="{role}">{html.escape(words)}</p>'


class Screen:
    """The components of one tab of the page by name, and which of them have to be told anew.

    What a person has changed in the browser stays as it is until the page has something else to show there.
    """

    def __init__(self, **components: Any) -> None:
        self._components = components

    @property
    def outputs(self) -> list[Any]:
        """For Gradio, in the order of `changes`."""
        return list(self._components.values())

    def changes(self, shown: dict[str, dict[str, Any]], wanted: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        """One update per component: nothing where it shows already what is wanted.

        Args:
            shown: what this tab was told last; is brought up to date.
            wanted: name -> properties.
        """
        updates = []
        for name in self._components:
            new = dict(wanted.get(name, {}))
            if all(shown.get(name, {}).get(key, _NEVER) == value for key, value in new.items()):
                updates.append(gr.skip())
            else:
                shown[name] = {**shown.get(name, {}), **new}
                updates.append(gr.update(**new))
        return updates


def waiting(pages: Pages, job: Job, words: str) -> str:
    """How far a job is that waits or is in work, as HTML; `words` until it says more itself."""
    share = pages.service.share(job)
    place = pages.service.place(job)
    if place is not None:
        words = texts.QUEUED_NEXT if place == 1 else texts.QUEUED.format(before=place - 1)
    elif share is not None:
        words = texts.SHARE.format(percent=round(100 * share.share), words=share.words)
    value = "" if share is None else f' value="{share.share:.2f}"'
    return (f'<div class="fc-box fc-note" role="status"><label>{html.escape(words)}'
            f'<progress max="1"{value}></progress></label></div>')


def failure(job: Job) -> str:
    """Why a job has no result, as HTML."""
    if job.state in DELETED or job.problem is None:
        return paragraph(texts.GONE, kind="wrong")
    problem = job.problem
    # The engine calls the file by our name for it, and says what was not written
    detail = problem["detail"].removeprefix("photo: ").removeprefix("clip: ")
    words = texts.PROBLEM.format(title=problem["title"], detail=detail)
    return paragraph(texts.PROBLEMS.get(problem["code"], words), kind="wrong")
