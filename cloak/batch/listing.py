"""The lists for machines, `report.csv` and `report.json`: this one exact, that one safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import timezone
from typing import Any

from cloak.batch.tally import STANDING_IN_WORDS, Row, RunFacts, count, faces_in_words
from cloak.files import shown

SCHEMA = "facecloak-batch/1"
COLUMNS = ("number", "output", "source", "media", "treatment", "state", "standing", "needs_eyes", "faces", "attempts",
           "bytes", "sha256", "output_sha256", "same_as", "seconds", "error", "words")
# A spreadsheet computes cells that begin so. It may also split lines where we did not: at semicolons, tabs and quotes,
# by the habits of its country. The signs of East Asian width count too (OWASP, CSV Injection).
_FORMULA = re.compile(r"((?:^|[;,|\t\"'])\s*)([=+\-@\uff1d\uff0b\uff0d\uff20])")


def csv_lines(rows: Sequence[Row]) -> Iterator[bytes]:
    """RFC 4180 in UTF-8, all cells quoted. In a cell that a spreadsheet could compute a `'` stands before the sign."""
    yield _line(COLUMNS)
    for row in rows:
        record = _record(row)
        record["faces"] = faces_in_words(row.entry)
        yield _line([_cell(record[name]) for name in COLUMNS])


def json_lines(rows: Sequence[Row], facts: RunFacts, *, is_quiet: bool) -> Iterator[bytes]:
    """One JSON document in ASCII, a line for each file."""
    standing = count(rows)
    head = {
        "schema": SCHEMA,
        "exit_code": facts.exit_code,
        "is_finished": not standing["waiting"] and facts.stopped is None,
        "stopped": None if facts.stopped is None else shown(facts.stopped),
        "is_quiet": is_quiet,
        "started": facts.started.astimezone(timezone.utc).isoformat(timespec="seconds"),
        "wall_s": round(facts.wall_s, 3),
        "made": facts.made,
        "counts": {"files": len(rows)} | {str(name): standing[name] for name in STANDING_IN_WORDS},
        "input": shown(facts.input) or None,
        "output": shown(facts.output.name if is_quiet else facts.output),
        "workers": shown(facts.workers),
        "settings": _printable(facts.settings),
        "rules": [shown(rule) for rule in facts.rules],
        "versions": _printable(facts.versions),
        "weights": _printable(facts.weights),
        "left_alone": [shown(name) for name in facts.left_alone],
        "troubles": [shown(words) for words in facts.troubles],
    }
    yield json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}").encode("ascii") + b',\n "files": ['
    for place, row in enumerate(rows):
        yield (b",\n  " if place else b"\n  ") + json.dumps(_record(row), allow_nan=False).encode("ascii")
    yield b"\n ]\n}\n"


def _record(row: Row) -> dict[str, Any]:
    """By `COLUMNS`. None where a quiet run says nothing, or where there is nothing to say."""
    entry = row.entry
    return {
        "number": row.number, "output": entry.output and shown(entry.output), "source": shown(entry.source) or None,
        "media": entry.media, "treatment": shown(entry.treatment), "state": entry.state, "standing": row.standing,
        "needs_eyes": row.needs_eyes, "faces": dict(entry.faces), "attempts": entry.attempts,
        "bytes": entry.bytes if entry.source else None, "sha256": entry.sha256, "output_sha256": entry.output_sha256,
        "same_as": entry.same_as and shown(entry.same_as), "seconds": round(entry.seconds, 3), "error": entry.raised,
        "words": row.words,
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _FORMULA.sub(r"\1'\2", value) if isinstance(value, str) else str(value)


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode("utf-8")


def _printable(facts: Any) -> dict[str, str]:
    return {shown(key): shown(value) for key, value in facts.items()}
