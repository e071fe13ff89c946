"""The reports at the end of a batch, all in its work folder: for people, for spreadsheets, for programs, and pictures.

Each is written beside its name and gets it last; what a killed run left behind is replaced by the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cloak.batch import listing, page
from cloak.batch import sheet as sheets
from cloak.batch.sheet import Progress
from cloak.batch.tally import RunFacts, rows_of, silenced
from cloak.batch.types import Entry
from cloak.errors import OutputRefused
from cloak.files import pending_file

__all__ = ["RunFacts", "write"]

_BUFFER_BYTES = 1 << 20


def write(entries: Sequence[Entry], facts: RunFacts, work: Path, *, is_quiet: bool, sheet: bool,
          on_progress: Progress | None = None) -> tuple[Path, ...]:
    """Writes `report.html`, `report.csv`, `report.json` and the contact sheet, over those of an earlier run.

    Args:
        entries: every file of the batch.
        work: exists, and nobody else's run writes there.
        is_quiet: nothing that names, measures or hashes an input is written.
        sheet: whether pictures are made, of outputs only: the pages of the sheet, and those in `report.html`. Pages
            that an earlier run made are deleted where not.
        on_progress: is told how many of how many pages of the sheet there are.
    Returns:
        What was written, `report.html` first.
    Raises:
        OutputRefused: a file cannot be written. What was there before it stays.
    """
    rows = rows_of(entries, is_quiet=is_quiet)
    facts = silenced(facts) if is_quiet else facts
    html, csv, json = (work / f"report.{suffix}" for suffix in ("html", "csv", "json"))
    _write(csv, listing.csv_lines(rows))
    _write(json, listing.json_lines(rows, facts, is_quiet=is_quiet))
    try:
        if sheet:
            pages = sheets.write_pages(rows, facts.output, work, on_progress=on_progress)
        else:
            pages = []
            sheets.remove_pages(work)
    except OSError as error:
        raise OutputRefused(f"{work}: the contact sheet cannot be written ({error.strerror}). report.csv and "
                            "report.json are there.") from error
    parts = page.lines(rows, facts, work, is_quiet=is_quiet, sheet=pages)
    _write(html, (part.encode("utf-8") for part in parts))
    return (html, csv, json, *pages)


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """Writes the parts as they come, so that a long list is never in the memory as a whole."""
    with pending_file(path, overwrite=True, temporary=path.with_name(f".{path.name}.part")) as pending:
        pending.mode = 0o600  # they say which photos somebody has
        try:
            with open(pending.temporary, "r+b", buffering=_BUFFER_BYTES) as file:
                for part in parts:
                    file.write(part)
        except OSError as error:
            raise OutputRefused(f"{path}: cannot be written ({error.strerror}). The photos and clips that were written "
                                "are there.") from error
        pending.commit()
