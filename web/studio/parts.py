"""What more than one tab of the page is made of."""

from __future__ import annotations

import html
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import gradio as gr

from web.studio import texts

if TYPE_CHECKING:
    from web.studio.page import Pages

ACCEPTED = ".jpg,.jpeg,.png,.webp,.tif,.tiff,.heic,.heif,.avif,image/*"


def asset(name: str) -> str:
    """A script or style of ours. It goes into the page itself: no request of its own."""
    return resources.files("web.studio").joinpath("assets").joinpath(name).read_text("utf-8")


def drop(pages: Pages, kind: str, wanted: Mapping[str, str], *, several: bool = False, button: str | None = None,
         help: str = "", accept: str = ACCEPTED, elem_id: str | None = None) -> gr.HTML:
    """Where files are dropped, chosen or pasted. Each upload becomes a job of the tab, without Gradio in between.

    Its `upload` event comes after every job that was handed in; its value is then `{"jobs": [id, ...]}`, newest last.

    Args:
        kind: of the jobs, see `web.kinds`.
        wanted: part of the upload -> what it is called on the page.
        several: many files, each a job of its own. Only with one part.
        button: what starts the upload. Without it files are sent as soon as they are there.
        accept: what the file dialog offers.
    """
    return gr.HTML(
        {"jobs": []}, html_template='<div class="fc-drop"></div>', js_on_load=asset("drop.js"), elem_id=elem_id,
        apply_default_css=False, kind=kind, wanted=dict(wanted), several=several, button=button, help=help,
        accept=accept, max_bytes=pages.service.settings.max_upload_bytes, words=dict(texts.DROP))


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


_NEVER = object()
