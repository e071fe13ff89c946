"""What a report says, as HTML: words first, numbers below. Never more than the report."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from web.studio import texts

_SETTLED = ("protected", "redacted", "kept")


def headline(report: Mapping[str, Any], *, is_protected: bool) -> tuple[str, str]:
    """(kind of box, sentence) on the whole file."""
    statuses = [face["status"] for face in report["faces"]]
    if not statuses:
        return "look", texts.NOTHING_JUDGED
    if "unjudged" in statuses:
        return "look", texts.UNJUDGED
    if "matched" in statuses:
        return "wrong", texts.MATCHED
    if not is_protected:
        return "look", texts.NOT_SETTLED
    if all(status == "kept" for status in statuses):
        return "look", texts.ALL_KEPT
    cloaked = [face for face in report["faces"] if face["status"] == "protected"]
    sentences = [texts.NO_LONGER_MATCHED if cloaked else texts.ALL_COVERED]
    if any(all(verdict["is_surrogate"] for verdict in face["verdicts"]) for face in cloaked):
        sentences.append(texts.NOT_INDEPENDENT)
    if kept := statuses.count("kept"):
        sentences.append(texts.SOME_KEPT.format(count=texts.number(kept)))
    return "good" if len(sentences) == 1 else "look", " ".join(sentences)


def on_face(face: Mapping[str, Any]) -> str:
    """One face in words, with how many recognisers were asked."""
    count = len(face["verdicts"])
    matching = sum(verdict["is_matched"] for verdict in face["verdicts"])
    text = texts.FACE_VERDICT[face["status"]]
    if face["status"] in ("protected", "matched") and count == 1:
        text = texts.FACE_VERDICT[face["status"] + "_one"]
    text = text.format(count=texts.number(count), rest=texts.number(count - matching), matching=texts.number(matching))
    return text[0].upper() + text[1:]


def as_html(report: Mapping[str, Any], *, is_protected: bool, downloads: str = "") -> str:
    """The whole verdict.

    Args:
        report: a `facecloak-report/2`.
        downloads: HTML that stands between the words and the numbers.
    """
    kind, sentence = headline(report, is_protected=is_protected)
    faces = "".join(_face(face) for face in report["faces"])
    rows = "".join(_rows(face) for face in report["faces"])
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in texts.NUMBERS_HEAD)
    numbers = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in report["notes"])
    return (f'<section class="fc-verdict" aria-label="{escape(texts.VERDICT)}">'
            f'<p class="fc-box fc-{kind}" role="status">{escape(sentence)}</p><p>{escape(report["words"])}</p>'
            f'<ul class="fc-verdicts">{faces}</ul>{downloads}'
            f"<details><summary>{escape(texts.NUMBERS)}</summary><p>{escape(texts.NUMBERS_HELP)}</p>"
            f'<div class="fc-scroller">{numbers}</div></details>'
            f"<details open><summary>{escape(texts.NOTES)}</summary><ul>{notes}</ul></details></section>")


def _face(face: Mapping[str, Any]) -> str:
    kind = "wrong" if face["status"] not in _SETTLED else "look" if face["status"] == "kept" else "good"
    drawn = not face["detector_score"]
    name = (texts.AREA if drawn else texts.FACE).format(number=face["number"])
    return (f'<li class="fc-{kind}"><strong>{escape(name)}:</strong> {escape(on_face(face))} '
            f"<small>{escape(face['words'])}</small></li>")


def _rows(face: Mapping[str, Any]) -> str:
    rows = ""
    for one in face["verdicts"]:
        # Outside of what was measured the rate is a bound, and so is what is shown
        cells = (texts.FACE.format(number=face["number"]), one["recogniser"], f"{one['similarity_before']:.2f}",
                 f"{one['similarity_after']:.2f}", f"{one['threshold']:.2f}", texts.MATCH[bool(one["is_matched"])],
                 f"{one['fmr_after']:.2g}")
        rows += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    return rows
