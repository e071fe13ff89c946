"""How the page looks: Gradio's theme with fonts of the system, and the frame around the tabs."""

from __future__ import annotations

from html import escape

import gradio as gr

from web.studio import texts

_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]

# Names of fonts, not Gradio's font objects: those are fetched from elsewhere
THEME = gr.themes.Base(primary_hue="sky", neutral_hue="slate", font=_FONT, font_mono=_MONO, text_size="lg").set(
    body_background_fill="#f4f6f8", body_text_color="#17212b", body_text_color_subdued="#46525e",
    block_label_text_color="#17212b", block_title_text_color="#17212b", block_info_text_color="#46525e",
    button_primary_background_fill="#0b5a8f", button_primary_background_fill_hover="#084a76",
    button_primary_text_color="#ffffff", button_secondary_text_color="#17212b",
    button_secondary_background_fill="#ffffff", button_secondary_border_color="#6b7a89",
    checkbox_label_text_color="#17212b", checkbox_label_text_color_selected="#17212b",
    checkbox_label_background_fill="#ffffff", checkbox_label_background_fill_selected="#dcecf7",
    checkbox_background_color_selected="#0b5a8f", checkbox_border_color="#6b7a89",
    checkbox_border_color_selected="#0b5a8f",
)

# The page is light whatever the system prefers: colours mean something on it, and were chosen on white
HEAD = """<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">
<script>new MutationObserver(() => document.body && document.body.classList.remove("dark"))
.observe(document.documentElement, {subtree: true, attributeFilter: ["class"], childList: true});</script>"""


def header(title: str, subtitle: str, *, leave: str) -> str:
    """The head of the page, as HTML."""
    return (f'<header class="fc-header"><div><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></div>'
            f'<form method="post" action="{escape(leave)}"><button class="fc-button">{escape(texts.LEAVE)}</button>'
            "</form></header>")
