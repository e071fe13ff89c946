"""What a batch came to: how each file stands, what has to be looked at, and what a quiet run may say of it.

Every report is made from these rows, so none of them can know what a quiet run leaves out.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from cloak import errors
from cloak.batch.types import Entry
from cloak.files import shown

# fine: written, and nothing was flagged; look: written, and something was; unseen: written though no face was found
Standing = Literal["look", "unseen", "fine", "failed", "no_face", "vanished", "waiting"]
# Written ones come first, those that need eyes at their head: the order of the contact sheet and of its numbers
_ORDER: tuple[Standing, ...] = ("look", "unseen", "fine", "failed", "no_face", "vanished", "waiting")
WRITTEN: frozenset[Standing] = frozenset({"look", "unseen", "fine"})
STANDING_IN_WORDS: dict[Standing, str] = {
    "look": "look at it", "unseen": "no face found, written", "fine": "nothing flagged", "failed": "failed",
    "no_face": "no face found, not written", "vanished": "vanished", "waiting": "waiting",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run as a whole."""

    started: datetime  # with its time zone
    wall_s: float
    exit_code: int
    output: Path  # the folder of the outputs
    workers: str  # in words
    settings: Mapping[str, str]  # what was set -> to what, in words, without names of inputs
    versions: Mapping[str, str]
    weights: Mapping[str, str]  # name -> sha256
    input: str = ""  # the folder, as `files.shown` prints it
    rules: tuple[str, ...] = ()  # of glob and treatment, in words
    made: int | None = None  # files made by this run, where the others were there already
    left_alone: tuple[str, ...] = ()  # files that are neither photo nor clip
    troubles: tuple[str, ...] = ()  # what went wrong beyond single files, such as folders that could not be read
    stopped: str | None = None  # why the run ended before its work did


@dataclass(frozen=True, slots=True)
class Row:
    """One file of the batch."""

    entry: Entry
    standing: Standing
    number: int | None  # on the contact sheet and in all reports, from 1; None where nothing was written

    @property
    def needs_eyes(self) -> bool:
        """Whether a person has to look at the file, or for it, before anything is published."""
        return self.standing != "fine"

    @property
    def words(self) -> str:
        """What was measured, or why there is nothing and what to do; without the path of the file before it."""
        words = shown(self.entry.words)
        head, colon, rest = words.partition(": ")
        if colon and self.entry.source and head.endswith(self.entry.source):
            words = rest
        return words[:1].upper() + words[1:]


def rows_of(entries: Iterable[Entry], *, is_quiet: bool) -> tuple[Row, ...]:
    """All files, in the order in which people should look at them.

    Args:
        is_quiet: nothing of a row comes from the input's name, size or content.
    """
    entries = tuple(entries)
    firsts = {entry.source: entry for entry in entries if entry.same_as is None}
    standing = [(_standing(entry, firsts), entry) for entry in entries]
    if is_quiet:
        standing = [(one, _silenced(entry)) for one, entry in standing]
    standing.sort(key=lambda pair: (_ORDER.index(pair[0]), pair[1].output or "", pair[1].source, pair[1].raised or ""))
    return tuple(Row(entry, one, place + 1 if one in WRITTEN else None)
                 for place, (one, entry) in enumerate(standing))


def silenced(facts: RunFacts) -> RunFacts:
    """The facts without anything that could name an input."""
    troubles: tuple[str, ...] = ()
    if facts.troubles:
        troubles = (f"{counted(len(facts.troubles), 'folder or link')} could not be read or followed. This run leaves "
                    "out their names.",)
    stopped = facts.stopped and "The run ended before its work did. This run leaves out why, for that can name a file."
    return dataclasses.replace(facts, input="", rules=(), left_alone=(), troubles=troubles, stopped=stopped)


def count(rows: Sequence[Row]) -> Counter[Standing]:
    return Counter(row.standing for row in rows)


def faces_in_words(entry: Entry) -> str:
    """faces: 2 protected, 1 matched; of clips, tracks: 3 hide"""
    found = [f"{number:,} {shown(name).replace('_', ' ')}" for name, number in entry.faces.items() if number]
    return f"{'tracks' if entry.media == 'clip' else 'faces'}: {', '.join(found)}" if found else ""


def reason(raised: str | None) -> str:
    """What kind of trouble an error of this name is, in words that name no file."""
    error = getattr(errors, raised, None) if raised else None
    if isinstance(error, type) and issubclass(error, errors.CloakError) and error.__doc__:
        return error.__doc__.strip().splitlines()[0]
    return "It was given up."


def counted(number: int, thing: str, things: str | None = None) -> str:
    """1 file, 1,020 files"""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def _standing(entry: Entry, firsts: Mapping[str, Entry]) -> Standing:
    if entry.state != "done":
        return entry.state
    first = firsts.get(entry.same_as or "", entry)  # a copy is what it was copied from
    if entry.needs_look or first.needs_look:
        return "look"
    return "fine" if any(entry.faces.values()) or any(first.faces.values()) else "unseen"


def _silenced(entry: Entry) -> Entry:
    # Sizes tell files apart as hashes do, and words of an error hold the path
    words = reason(entry.raised) if entry.state == "failed" else ""
    return dataclasses.replace(entry, source="", bytes=0, sha256=None, same_as=None, words=words)
