"""The photo page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from web.studio import parts, texts

if TYPE_CHECKING:
    from web.studio.page import Pages


def build(pages: Pages) -> None:
    """Fills the tab."""
    gr.Markdown(texts.ADVICE, elem_classes="fc-advice")
    parts.drop(pages, "detect", {"file": texts.PHOTOS}, several=True)
