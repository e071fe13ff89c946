"""HTML and SVG in which no text can become markup: whatever is not made by `tag` is escaped.

tag("p", "1 < 2, says ", tag("b", name), class_="note")
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_VOID = frozenset({"br", "meta", "img", "link"})
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
# What a browser would not show, or refuse: results are JSON and may hold them.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Markup(str):
    """Text that is HTML already. Made by the functions here; a string from a file never is."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """The text as HTML that shows it; characters that steer a screen or turn the reading direction show as �."""
    return text if isinstance(text, Markup) else Markup(html.escape(_CONTROLS.sub("\ufffd", text)))


def tag(name: str, *children: str, **attributes: str | int | float | None) -> Markup:
    """One element. `class_` is class, `stroke_width` is stroke-width; an attribute that is None is left out."""
    words = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(attribute):
            raise ValueError(f"{attribute!r} is no name of an attribute.")
        if value is not None:
            text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            words.append(f'{attribute}="{escaped(text)}"')
    head = f"<{' '.join(words)}>"
    return Markup(head if name in _VOID else f"{head}{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    return Markup("".join(escaped(part) for part in parts))


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """The first cell of a row is its head. Scrolls sideways by itself where the screen is narrow."""
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows
    ]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="wide", tabindex=0, role="region", aria_label=caption)


def figure(caption: str, *children: str, tall: bool = False) -> Markup:
    """A tall one stands beside two others where there is room."""
    return tag("figure", *children, tag("figcaption", caption), class_="tall" if tall else None)


def folded(summary: str, *children: str) -> Markup:
    """Shown when asked for."""
    return tag("details", tag("summary", summary), *children)


def facts(value: object) -> Markup:
    """Anything that JSON can hold, as nested lists."""
    if isinstance(value, dict) and value:
        pairs = ((tag("dt", str(key)), tag("dd", facts(one))) for key, one in value.items())
        return tag("dl", *(part for pair in pairs for part in pair))
    if isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value):
        return tag("ol", *(tag("li", facts(one)) for one in value))
    if isinstance(value, list):
        return escaped(", ".join(str(one) for one in value) or "none")
    return escaped("none" if value is None or value == {} else str(value))
