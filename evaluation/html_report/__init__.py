"""One page that shows result files: `cloak-eval report results/*.json -o report.html`.

It is made from the files alone, loads nothing, needs no script, and holds no face unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation import record
from evaluation.files import write_beside_and_rename
from evaluation.html_report import page, sections
from evaluation.html_report.markup import Markup, facts, folded, tag
from evaluation.html_report.strips import side_by_side

# What the numbers were measured with, in this order, at the end of each section
_MADE_WITH = ("protocol", "engine", "weights", "machine", "versions")


def write(results: Sequence[Path], out: Path, *, faces: Path | None = None) -> list[str]:
    """Write the page and return the results that it only names.

    Args:
        faces: work folder of a run; pictures from it are put into the page.
    Raises:
        ResultUnreadable: a file is no result, one of another schema, or does not hold what its kind promises; no page
            is written then.
    """
    html, unknown = render(results, faces=faces)
    write_beside_and_rename(out, html.encode("utf-8"))
    return unknown


def render(results: Sequence[Path], *, faces: Path | None = None) -> tuple[str, list[str]]:
    """The page, and what it does not know; see `write`."""
    documents = [(path, record.read(path)) for path in results]
    known, unknown, warnings = [], list[str](), list[str]()
    for number, (path, document) in enumerate(documents):
        kind = str(document.get("kind"))
        if sections.of_kind(kind) is None:
            unknown.append(f"{path.name}: kind {kind!r}")
            continue
        known.append((f"result-{number}", path, kind, document))
        warnings += [f"{path.name}: {warning}" for warning in _warnings(path, document)]
    body: list[str] = [tag("h1", "facecloak: what was measured")]
    body.append(tag("p", "A cloak lowers a chance and never promises anything. These figures hold for the photos, "
                         "recognisers and settings named beside them, and for no others; recognisers improve, and what "
                         "was published stays published."))
    warning, pictures = side_by_side(faces) if faces is not None else (None, None)
    if warning is not None:
        body.append(warning)
    if warnings:
        body.append(page.alarm("The harness warns:", warnings))
    elif known:
        body.append(tag("p", "The harness warned of nothing in these results.", class_="soft"))
    if unknown:
        body.append(page.alarm("Not shown, because this page does not know their kind:", unknown))
    links = [tag("li", tag("a", f"{kind} ({path.name})", href=f"#{anchor}")) for anchor, path, kind, _ in known]
    if pictures is not None:
        links.append(tag("li", tag("a", "faces", href="#faces")))
    body.append(tag("nav", tag("ul", *links), aria_label="Results on this page"))
    for anchor, path, kind, document in known:
        body.append(tag("section", *_section(anchor, path, kind, document)))
    if pictures is not None:
        body.append(pictures)
    return page.document("facecloak: what was measured", body), unknown


def _section(anchor: str, path: Path, kind: str, document: dict[str, Any]) -> list[Markup]:
    make = sections.of_kind(kind)
    assert make is not None
    try:
        shown = make(document)
    # A document of the right schema whose parts are not what its kind promises: read, but not to be believed.
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration, OverflowError) as error:
        raise record.ResultUnreadable(
            f"{path}: says it is of kind {kind!r}, but does not hold what that kind holds "
            f"({type(error).__name__}: {error}). No report was written."
        ) from error
    made_with = {key: document[key] for key in _MADE_WITH if key in document}
    return [
        tag("h2", f"{kind}: {path.name}", id=anchor),
        *shown,
        folded("Measured with: protocol, seed, weights, machine, versions", facts(made_with)),
    ]


def _warnings(path: Path, document: dict[str, Any]) -> list[str]:
    found = document.get("warnings", [])
    if not isinstance(found, list):
        raise record.ResultUnreadable(f"{path}: its warnings are no list. No report was written.")
    return [str(one) for one in found]
