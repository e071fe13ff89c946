"""The video page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from web.studio import texts

if TYPE_CHECKING:
    from web.studio.page import Pages


def build(pages: Pages) -> None:
    """Fills the tab."""
    gr.Markdown(texts.VIDEO_LATER)
