"""What the parts of a batch hand to each other. All of it can be pickled, and means the same on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cloak.settings import Settings
from cloak.types import Treatment
from cloak.video.redact import VideoSettings

Media = Literal["photo", "clip"]
# waiting: not tried yet, or to be tried again; done: written, read again, and its hash in the ledger; no_face: nothing
# was found and nothing was written; failed: given up, with a reason; vanished: it was there when the folder was read
State = Literal["waiting", "done", "no_face", "failed", "vanished"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a rule wants for a file."""

    treatment: Treatment  # of clips a redaction; of photos either
    keep_person: tuple[Path, ...] = ()  # reference photos of somebody who is left clear: face recognition


@dataclass(frozen=True, slots=True)
class Common:
    """What holds for all files of a run. Settings that are the recipe's are taken from there."""

    photo: Settings
    clip: VideoSettings
    folder: Path | None = None  # for temporary files, which every worker has to see; None: beside the outputs


@dataclass(frozen=True, slots=True)
class Item:
    """One content to be made once, however many files hold it."""

    number: int  # in the ledger
    media: Media
    source: Path
    output: Path
    sha256: str  # of the source, as hashed when the folder was read
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Group:
    """What is worked on together: one clip, or photos of one recipe whose faces share batches.

    A face comes out a little different in another company, so a group stays as it was put together in the ledger: begun
    again, it gives the same bytes.
    """

    number: int
    items: tuple[Item, ...]
    missing: frozenset[int]  # numbers of the items that are still to be written; the others only keep company


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one item."""

    number: int  # of the item
    state: State
    output_sha256: str | None = None
    # Where it lies, its report beside it, until the driver has put its hash into the ledger and given it its name; a
    # worker that lives on unknown to the driver publishes nothing
    made: Path | None = None
    needs_look: bool = False  # written, but a face is still matched, lost, or may have been seen uncovered
    # Of photos: status -> how many faces; of clips: decision -> how many tracks
    faces: Mapping[str, int] = field(default_factory=dict)
    words: str = ""  # what was measured, or why there is nothing
    raised: str | None = None  # the name of the error in `cloak.errors`
    seconds: float = 0.0  # of one worker, shared out over the photos of a group


@dataclass(frozen=True, slots=True)
class Lost:
    """A group whose worker died over it, or could not be reached. Nothing of it may be taken for done."""

    why: str


class Runner(Protocol):
    """Has groups done, here or elsewhere."""

    def run(self, groups: Iterable[Group], common: Common) -> Iterator[tuple[Group, tuple[Result, ...] | Lost]]:
        """Each group with what became of it, in any order, as soon as it is known.

        Asks `groups` for the next one only when a worker is free or nearly so, so that the memory stays bounded. One
        Lost never stops the others. Closing the iterator stops the workers.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the ledger, as reports want it."""

    source: str  # below the input folder, with `/`, safe to print (`files.shown`)
    output: str | None  # below the output folder, likewise; None where there is none
    media: Media
    treatment: str  # as `Treatment` prints it
    state: State
    needs_look: bool
    attempts: int
    bytes: int
    sha256: str | None  # None where it could not be read
    output_sha256: str | None
    same_as: str | None  # the source whose content this one has, and whose output is copied
    faces: Mapping[str, int]
    words: str
    seconds: float
    raised: str | None = None  # the name of the error in `cloak.errors`
    output_path: Path | None = None  # where the output lies, which `output` does not always tell: names can be no UTF-8
