"""Who is judged, with which photos, against whom.

A folder in LFW layout (`<subject>/<photo>.jpg`) is cut into roles that never overlap. Whether a subject is
for tuning or for judging depends on its name alone, so adding or removing people moves nobody from one side
to the other.

Source of the layout: Huang et al. 2007, UMass 07-49, http://vis-www.cs.umass.edu/lfw/.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluation.errors import EvaluationFailed

Split = Literal["tuning", "judging"]

# One probe and three mates: the protocol of design/baselines.md.
MATES = 3
# 61 of the 372 subjects of lfw-dev that have enough photos; 311 are left for judging.
TUNING_SHARE = 0.19
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


class SamplesUnusable(EvaluationFailed):
    """The folder cannot carry the protocol that was asked for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One person who is searched for: the photo that gets protected and other photos of the same person."""

    subject: str
    probe: Path
    mates: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """The probes of one split, and one photo of every subject of the folder, by subject.

    A probe is searched among its own mates and the distractors of all *other* subjects. No probe is a
    distractor.
    """

    split: Split
    probes: tuple[Sample, ...]
    distractors: dict[str, Path]


def split_of(subject: str) -> Split:
    """The role of a subject, from its name alone."""
    # lfw-dev was itself selected by the first byte of the same digest, so the last four bytes are used here.
    share = int.from_bytes(hashlib.sha1(subject.encode()).digest()[-4:], "big") / 2**32
    return "tuning" if share < TUNING_SHARE else "judging"


def read_samples(
    folder: Path, split: Split, subjects: int | None = None, skip: int = 0, mates: int = MATES
) -> Samples:
    """Read a folder in LFW layout.

    Args:
        folder: holds one folder per subject; a subject with more than `mates` photos can be a probe.
        split: whose probes are wanted. Distractors come from both splits: they are never cloaked.
        subjects: at most so many probe subjects, in the order of the digests of their names; None for all.
        skip: leaves out so many at the head of that order, because a result on them has been looked at before.
        mates: clean photos of each probe subject that are known to the searcher.
    Raises:
        SamplesUnusable: fewer probe subjects than asked for, or nobody to be mistaken for.
    """
    photos = photos_by_subject(folder)
    candidates = [s for s, paths in photos.items() if len(paths) > mates and split_of(s) == split]
    # By digest and not by name: an alphabetical head of LFW is mostly people called A.
    candidates.sort(key=lambda subject: hashlib.sha1(subject.encode()).digest()[-4:])
    candidates = candidates[skip:]
    if not candidates or (subjects is not None and len(candidates) < subjects):
        raise SamplesUnusable(
            f"{folder}: {len(candidates)} {split} subjects have more than {mates} photos, "
            f"{subjects or 'at least 1'} wanted, {skip} skipped. Nothing was judged."
        )
    if len(photos) < 2:
        raise SamplesUnusable(
            f"{folder}: only one subject, so there is nobody to be mistaken for. Nothing was judged."
        )
    probes = tuple(Sample(s, photos[s][mates], photos[s][:mates]) for s in candidates[:subjects])
    return Samples(split, probes, {subject: paths[0] for subject, paths in photos.items()})


def photos_by_subject(folder: Path) -> dict[str, tuple[Path, ...]]:
    """All photos of a folder in LFW layout, in the order of names; a subject without any is left out.

    Raises:
        SamplesUnusable: no such folder.
    """
    if not folder.is_dir():
        raise SamplesUnusable(f"{folder}: no such folder. Nothing was judged.")
    photos = {person.name: _photos(person) for person in sorted(folder.iterdir()) if person.is_dir()}
    return {subject: paths for subject, paths in photos.items() if paths}


def _photos(person: Path) -> tuple[Path, ...]:
    return tuple(sorted(p for p in person.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES))
