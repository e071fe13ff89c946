"""A collection of known faces, and the search in it.

gallery = enrol(templates, subjects, made_by)
found = gallery.search(probes, top=50)                    investigation: a ranked list, whatever the similarity
found = gallery.search(probes, top=50, threshold=0.4)     only who is more alike than that

A subject may have several templates and is as alike as the best of them. Candidates are subjects, not templates.
Search is exact, by faiss' brute-force kernels on the templates themselves: no index and no second copy in memory.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationFailed
from evaluation.files import renamed_when_written
from evaluation.matchers import Metric, TemplateBroken, similarities

Templates = NDArray[np.float32]  # (N, D)

SCHEMA = "facecloak-gallery/1"
# Templates compared at once when everybody is counted: 65,536 x 512 float32 are 134 MB.
BLOCK = 65_536


class GalleryUnusable(EvaluationFailed):
    """What was given is no gallery, or not one for this search."""


@dataclass(frozen=True, slots=True)
class Maker:
    """What turned photos into templates. Templates of different makers cannot be compared."""

    matcher: str
    weights_sha256: str
    detector: str
    metric: Metric


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ranked answers to P searches, best first. Fewer than asked for: subject -1, similarity -inf."""

    subjects: NDArray[np.int64]  # (P, top) index into `Gallery.subjects`
    similarities: NDArray[np.float32]  # (P, top)


@dataclass(frozen=True, slots=True)
class Gallery:
    """S subjects with N templates; those of one subject lie together. Made by `enrol` and `load`."""

    subjects: NDArray[np.str_]  # (S,)
    synthetic: NDArray[np.bool_]  # (S,) drawn from a distribution: nobody's face
    templates: Templates  # (N, D), of unit length when the metric is cosine
    starts: NDArray[np.int64]  # (S,) where each subject's templates begin
    made_by: Maker

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def bytes(self) -> int:
        """Memory of all arrays."""
        return self.subjects.nbytes + self.synthetic.nbytes + self.templates.nbytes + self.starts.nbytes

    def search(
        self,
        probes: Templates,
        *,
        top: int,
        threshold: float | None = None,
        without: Sequence[str | None] | None = None,
    ) -> Candidates:
        """The most alike subjects of each probe.

        Args:
            probes: (P, D), by the same maker.
            top: length of the list.
            threshold: leaves out who is not *more* alike than this; None ranks only.
            without: a subject per probe who counts as not enrolled, or None.
        Raises:
            GalleryUnusable, TemplateBroken.
        """
        import faiss

        probes = self._checked(probes)
        if top < 1:
            raise GalleryUnusable(f"a list of {top} candidates. Nothing was searched.")
        hidden = self._rows_of(without, len(probes))
        counts = np.diff(np.append(self.starts, len(self.templates)))
        # With several templates a subject may fill many places of the list of templates.
        places = min(int((top + (hidden >= 0).any()) * counts.max()), len(self.templates))
        by_angle = self.made_by.metric == "cosine"
        kernel = faiss.METRIC_INNER_PRODUCT if by_angle else faiss.METRIC_L2
        scores, rows = faiss.knn(probes, self.templates, places, metric=kernel)
        if not by_angle:
            # The kernel's squares cancel for near-equal templates; the few that are listed are done again.
            listed = self.templates[rows].astype(np.float64)
            scores = -np.sqrt(((listed - probes[:, None]) ** 2).sum(axis=2)).astype(np.float32)
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        subjects = np.full((len(probes), top), -1, np.int64)
        found = np.full((len(probes), top), -np.inf, np.float32)
        for i in range(len(probes)):
            order = np.argsort(-scores[i], kind="stable")
            wanted = order[owners[i][order] != hidden[i]]
            if threshold is not None:
                wanted = wanted[scores[i][wanted] > threshold]
            _, first = np.unique(owners[i][wanted], return_index=True)
            best = wanted[np.sort(first)][:top]
            subjects[i, : len(best)], found[i, : len(best)] = owners[i][best], scores[i][best]
        return Candidates(subjects, found)

    def ahead(
        self, probes: Templates, scores: NDArray[np.float32], without: Sequence[str | None] | None = None
    ) -> NDArray[np.int64]:
        """How many subjects are more alike to each probe than a score (P,): (P,). Exact at any rank."""
        probes = self._checked(probes)
        hidden = self._rows_of(without, len(probes))
        counted = np.zeros(len(probes), np.int64)
        for first, last in self._blocks():
            rows = self.templates[self.starts[first] : self._end(last)]
            alike = similarities(probes, rows, self.made_by.metric)
            best = np.maximum.reduceat(alike, self.starts[first:last] - self.starts[first], axis=1)
            more = best > scores[:, None]
            own = (hidden >= first) & (hidden < last)
            more[own, hidden[own] - first] = False
            counted += more.sum(axis=1)
        return counted

    def save(self, path: Path) -> None:
        """One .npz: the arrays, and a JSON header of schema and maker. No pickle."""
        header = json.dumps({"schema": SCHEMA, **asdict(self.made_by)})
        with renamed_when_written(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                header=np.array(header),
                subjects=self.subjects,
                synthetic=self.synthetic,
                templates=self.templates,
                starts=self.starts,
            )

    def _checked(self, probes: Templates) -> Templates:
        if probes.ndim != 2 or probes.shape[1] != self.templates.shape[1]:
            raise GalleryUnusable(
                f"probes are {probes.shape}, the gallery of {self.made_by.matcher} is "
                f"{self.templates.shape}: made by another matcher. Nothing was searched."
            )
        return comparable(probes, self.made_by.metric)

    def _rows_of(self, names: Sequence[str | None] | None, probes: int) -> NDArray[np.int64]:
        """Index of each named subject, -1 for None and for whoever is not enrolled."""
        if names is None:
            return np.full(probes, -1, np.int64)
        if len(names) != probes:
            raise GalleryUnusable(f"{len(names)} names for {probes} probes. Nothing was searched.")
        place = {subject: row for row, subject in enumerate(self.subjects.tolist())}
        return np.array([place.get(name, -1) if name is not None else -1 for name in names], np.int64)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of subjects whose templates fit a block."""
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.starts, self.starts[first] + BLOCK, side="right")) - 1
            last = len(self) if self.starts[first] + BLOCK >= len(self.templates) else max(last, first + 1)
            yield first, last
            first = last

    def _end(self, subject: int) -> int:
        return int(self.starts[subject]) if subject < len(self) else len(self.templates)


def enrol(
    templates: Templates,
    subjects: Sequence[str],
    made_by: Maker,
    *,
    synthetic: NDArray[np.bool_] | None = None,
) -> Gallery:
    """Sort templates (N, D) into a gallery.

    Args:
        subjects: whose each template is, (N,).
        synthetic: which templates are nobody's, (N,); None for none.
    Raises:
        GalleryUnusable: nobody, one subject only, shapes that disagree, or a subject that is both real and synthetic.
        TemplateBroken: a template that is not finite or is zero.
    """
    if templates.ndim != 2 or len(templates) != len(subjects):
        raise GalleryUnusable(f"templates {templates.shape} for {len(subjects)} names. Nobody was enrolled.")
    drawn = np.zeros(len(templates), np.bool_) if synthetic is None else synthetic
    names, owners = np.unique(np.asarray(subjects, np.str_), return_inverse=True)
    if len(names) < 2:
        raise GalleryUnusable(f"{len(names)} subjects: there is nobody to be mistaken for. Nobody was enrolled.")
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(len(names)))
    labels = np.logical_or.reduceat(drawn[order], starts)
    if (labels != np.logical_and.reduceat(drawn[order], starts)).any():
        raise GalleryUnusable("a subject is both real and synthetic. Nobody was enrolled.")
    ordered = comparable(templates[order], made_by.metric)
    return Gallery(names, labels, ordered, np.asarray(starts, np.int64), made_by)


def load(path: Path, made_by: Maker) -> Gallery:
    """A saved gallery, if it was made by the maker of the probes.

    Raises:
        GalleryUnusable: damaged, of another schema or of another maker. Nothing was loaded.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            header: Any = json.loads(str(stored["header"]))
            if not isinstance(header, dict) or header.pop("schema", None) != SCHEMA:
                raise GalleryUnusable(f"{path}: schema is not {SCHEMA}; enrol again. Nothing was loaded.")
            if header != asdict(made_by):
                raise GalleryUnusable(f"{path}: made by {header}, not by {asdict(made_by)}. Nothing was loaded.")
            names = ("subjects", "synthetic", "templates", "starts")
            subjects, synthetic, templates, starts = (stored[name] for name in names)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, GalleryUnusable):
            raise
        raise GalleryUnusable(f"{path}: not a gallery ({error}). Nothing was loaded.") from error
    _check_arrays(path, subjects, synthetic, templates, starts)
    return Gallery(subjects, synthetic, templates, starts, made_by)


def refuse_overlap(roles: dict[str, Sequence[str]]) -> None:
    """Nobody may have two of these roles; the subjects of each are given by its name."""
    names = list(roles)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            both = sorted(set(roles[one]) & set(roles[other]))
            if both:
                shown = ", ".join(both[:3])
                raise GalleryUnusable(f"{len(both)} subjects are both {one} and {other}: {shown}. Nothing was judged.")


def comparable(templates: Templates, metric: Metric) -> Templates:
    """Contiguous float32, of unit length for the cosine."""
    lengths = np.linalg.norm(templates, axis=1)
    if not np.isfinite(templates).all() or (lengths == 0).any():
        raise TemplateBroken("a template is not finite or is zero: the network is no face recogniser or is broken.")
    scaled = templates / lengths[:, None] if metric == "cosine" else templates
    return np.ascontiguousarray(scaled, np.float32)


def _check_arrays(
    path: Path,
    subjects: NDArray[Any],
    synthetic: NDArray[Any],
    templates: NDArray[Any],
    starts: NDArray[Any],
) -> None:
    whole = (
        templates.ndim == 2
        and templates.dtype == np.float32
        and synthetic.dtype == np.bool_
        and starts.dtype == np.int64
        and len(subjects) == len(synthetic) == len(starts) >= 2
        and starts[0] == 0
        and (np.diff(np.append(starts, len(templates))) > 0).all()
        and bool(np.isfinite(templates).all())
    )
    if not whole:
        raise GalleryUnusable(f"{path}: its arrays do not fit together. Nothing was loaded.")
