"""Judges written files: find the face again, embed it, compare it with other photos of the person and with
strangers.

bench = open_bench(data, "tuning", cache=Path("cache"))
verdict = judge({sample: path_of_the_cloaked_file for sample in bench.samples.probes}, bench)
verdict["matchers"]["edgeface_xxs"]["tar"]["1e-3"]["value"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import gallery, matchers, metrics, quality
from evaluation.faces import decode
from evaluation.files import sha256_of
from evaluation.matchers import similarities
from evaluation.reading import Box, Reader
from evaluation.samples import MATES, Sample, Samples, SamplesUnusable, Split, read_samples

FMRS = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}
FPIRS = {"0.01": 0.01, "0.003": 0.003}
RANKS = (1, 10, 50)


@dataclass(frozen=True, slots=True)
class Gallery:
    """What one matcher knows before any protected file is shown to it. S subjects, M mates each, D others."""

    mates: NDArray[np.float32]  # (S, M, dimensions), NaN where no face was found in a mate
    others: gallery.Gallery  # one template per subject of the folder
    originals: NDArray[np.float32]  # (S, dimensions), the very photo that gets protected
    thresholds: dict[str, float]  # by name of the FMR
    rekognition_like: dict[str, float]  # by name on our own scale, see `metrics.REKOGNITION_LIKE`
    non_mated: int  # comparisons behind the thresholds
    strangers: NDArray[np.float32]  # (D,) best similarity of each of the others who is searched and not enrolled


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that is the same for every arm."""

    samples: Samples
    boxes: dict[Sample, Box]  # where the face is in the clean probe
    galleries: dict[str, Gallery]
    reader: Reader
    seed: int
    gallery_not_found: int  # distractors and mates in which no face was found; they are left out


def open_bench(
    data: Path,
    split: Split,
    *,
    cache: Path,
    subjects: int | None = None,
    skip: int = 0,
    matcher_names: Sequence[str] | None = None,
    photos: str = "lfw-dev",
    weights: str = "weights",
    mates: int = MATES,
    seed: int = 0,
    further: Path | None = None,
) -> Bench:
    """Enrol the gallery and set the thresholds. The first call takes minutes, later ones read the cache.

    Args:
        data: the data pack; `photos` is its folder in LFW layout, `weights` its folder of networks.
        mates: clean photos of each subject that the searcher has.
        cache: folder for templates; created when missing.
        further: folder of the networks that the data pack has not, see `matchers.present`.
    """
    names = matcher_names or matchers.present(data / weights, further)[0]
    reader = Reader(data / weights, names, cache, further)
    samples = read_samples(data / photos, split, subjects, skip, mates)
    try:
        others = {subject: reader.templates(path) for subject, path in samples.distractors.items()}
        known_as = [[reader.templates(path) for path in sample.mates] for sample in samples.probes]
        originals = {sample: reader.templates(sample.probe) for sample in samples.probes}
    finally:
        reader.save()
    lost = [s.subject for s, found in originals.items() if found is None]
    lost += [s.subject for s, row in zip(samples.probes, known_as, strict=True) if not any(row)]
    if lost:
        raise SamplesUnusable(
            f"{data / photos}: no face in the clean probe or in any mate of {lost}. Nothing judged."
        )
    enrolled = {subject: found for subject, found in others.items() if found is not None}
    owners, own = list(enrolled), [sample.subject for sample in samples.probes]
    galleries = {}
    for name, matcher in reader.matchers.items():
        other = gallery.enrol(np.concatenate([found[name] for found in enrolled.values()]), owners, reader.maker(name))
        original = np.concatenate([found[name] for found in originals.values() if found is not None])
        nothing = np.full((1, other.templates.shape[1]), np.nan, np.float32)
        mate = np.stack([np.concatenate([f[name] if f else nothing for f in row]) for row in known_as])
        is_self = other.subjects == np.array(own)[:, None]
        non_mated = similarities(original, other.templates, matcher.metric)[~is_self]
        # Each of the others is searched once as somebody who is not enrolled.
        strangers = other.search(other.templates, top=1, without=other.subjects.tolist()).similarities[:, 0]
        galleries[name] = Gallery(
            mate,
            other,
            original,
            # A rate that this many comparisons cannot show has no threshold and is left out of every result.
            metrics.thresholds_shown(FMRS, non_mated),
            metrics.thresholds_shown(metrics.REKOGNITION_LIKE, non_mated),
            non_mated.size,
            strangers,
        )
    missing = sum(found is None for found in [*others.values(), *(found for row in known_as for found in row)])
    boxes = {sample: reader.main_box(sample.probe) for sample in samples.probes}
    return Bench(samples, boxes, galleries, reader, seed, missing)


@dataclass(frozen=True, slots=True)
class Scores:
    """What one matcher says of F files with M mates each. A face that is not found is -inf, an absent mate NaN."""

    mated: NDArray[np.float32]  # (F, M)
    own: NDArray[np.float32]  # (F, 1) with the very photo the file was made of
    ranks: NDArray[np.int64]  # (F,) of the best mate; one behind the end of the list without a face
    probes: NDArray[np.float32]  # (found, D) templates


@dataclass(frozen=True, slots=True)
class Seen:
    """What the judge found in the files of one arm."""

    files: dict[Sample, Path]
    rows: NDArray[np.int64]  # (F,) place of each file's sample among the bench's probes
    found: NDArray[np.bool_]  # (F,)
    enlarged: int  # found only in the enlarged picture
    not_found_by: dict[str, int]  # by detector
    scores: dict[str, Scores]  # by matcher

    @property
    def subjects(self) -> list[str]:
        return [sample.subject for sample in self.files]


def judge(files: Mapping[Sample, Path], bench: Bench, *, with_quality: bool = True) -> dict[str, Any]:
    """Numbers of one arm, ready for JSON; `look` and `verdict` in one."""
    return verdict(look(files, bench), bench, with_quality=with_quality)


def look(files: Mapping[Sample, Path], bench: Bench) -> Seen:
    """Find the face of every file where it must be, and compare it.

    Args:
        files: the written file of each probe; a subset of the bench's probes is allowed.
    """
    if not files:
        raise SamplesUnusable("an arm without files. Nothing judged.")
    place = {sample: row for row, sample in enumerate(bench.samples.probes)}
    rows = np.array([place[sample] for sample in files])
    sizes = {sample: bench.reader.find(sample.probe)[2] for sample in files}
    probes, enlarged = [], 0
    unseen = dict.fromkeys(bench.reader.detectors, 0)
    for sample, path in files.items():
        _, faces, size = bench.reader.find(path)
        expected = bench.boxes[sample] * np.float32(size[0] / sizes[sample][0])
        probes.append(bench.reader.templates(path, expected))
        for detector in unseen:
            unseen[detector] += not bench.reader.finds(path, expected, detector)
        enlarged += faces.enlarged and probes[-1] is not None
    bench.reader.save()
    subjects = [sample.subject for sample in files]
    return Seen(
        dict(files),
        rows,
        np.array([probe is not None for probe in probes]),
        int(enlarged),
        unseen,
        {
            name: _scores(known, [None if p is None else p[name] for p in probes], rows, subjects)
            for name, known in bench.galleries.items()
        },
    )


def verdict(seen: Seen, bench: Bench, *, with_quality: bool = True) -> dict[str, Any]:
    """What was seen as rates.

    Returns:
        counts; per matcher TAR, FNIR, rank and same-photo TAR, each with interval; mean quality of photo and face.
        A face that is not found counts as not matched in `tar`, `rank_1`...; `tar_found` leaves it out.
    """
    return {
        "subjects": len(seen.files),
        "not_found": int((~seen.found).sum()),
        "not_found_by": seen.not_found_by,
        "failure_to_enrol": asdict(metrics.rate((~seen.found).astype(np.float64), bench.seed)),
        "found_only_enlarged": seen.enlarged,
        "equal_to_original": sum(
            sha256_of(path) == sha256_of(sample.probe) for sample, path in seen.files.items()
        ),
        "matchers": {
            name: _rates(known, seen.scores[name], seen.found, bench.seed) for name, known in bench.galleries.items()
        },
        "quality": mean_quality(seen.files, bench) if with_quality else None,
    }


def enrolled_instead(seen: Seen, bench: Bench) -> dict[str, dict[str, Any]]:
    """The other role: the files are enrolled, and every clean mate is searched for.

    So does who collects published photos and holds a clean one up to them later. Every subject is searched in a gallery
    in which she alone is enrolled by her file, everybody else by a clean photo.

    Returns:
        per matcher rank and FNIR with intervals by subject. A file in which no face is found is never returned.
    """
    result = {}
    for name, known in bench.galleries.items():
        mated = seen.scores[name].mated
        searched = ~np.isnan(mated)
        mates = known.mates[seen.rows]
        subjects = np.repeat(np.array(seen.subjects)[:, None], mated.shape[1], axis=1)
        hits = np.full((*mated.shape, len(RANKS)), np.nan)
        ranks = 1 + known.others.ahead(mates[searched], mated[searched], without=subjects[searched].tolist())
        ranks = np.where(np.isfinite(mated[searched]), ranks, len(known.others) + 1)
        hits[searched] = ranks[:, None] <= np.array(RANKS)
        result[name] = {
            f"rank_{rank}": asdict(metrics.rate(np.nanmean(hits[..., i], axis=1), bench.seed))
            for i, rank in enumerate(RANKS)
        } | {"fnir": _fnir(mated, known, bench.seed)}
    return result


def _scores(
    known: Gallery,
    probes: Sequence[NDArray[np.float32] | None],
    rows: NDArray[np.int64],
    subjects: Sequence[str],
) -> Scores:
    metric = known.others.made_by.metric
    found = np.array([probe is not None for probe in probes])
    mated = np.full((len(rows), known.mates.shape[1]), -np.inf, np.float32)
    own = np.full((len(rows), 1), -np.inf, np.float32)
    for i, (row, probe) in enumerate(zip(rows, probes, strict=True)):
        enrolled = np.isfinite(known.mates[row]).all(axis=1)
        mated[i, ~enrolled] = np.nan
        if probe is not None:
            mated[i, enrolled] = similarities(probe, known.mates[row][enrolled], metric)[0]
            own[i] = similarities(probe, known.originals[row : row + 1], metric)
    best = np.nanmax(mated, axis=1)
    searched = np.concatenate([np.zeros((0, known.mates.shape[2]), np.float32), *(p for p in probes if p is not None)])
    # Without a face the mate is one behind the end of the list. A tie goes to the mate, against the protection.
    ranks = np.full(len(rows), len(known.others) + 1)
    if found.any():
        of = [subject for subject, there in zip(subjects, found, strict=True) if there]
        # The probe's own subject is a mate, not a stranger.
        ranks[found] = 1 + known.others.ahead(searched, best[found], without=of)
    return Scores(mated, own, ranks, searched)


def _rates(known: Gallery, scores: Scores, found: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    mated, ranks = scores.mated, scores.ranks

    def rate(by_subject: NDArray[np.float64]) -> dict[str, float]:
        return asdict(metrics.rate(by_subject, seed))

    def at_each(values: NDArray[np.float32], thresholds: dict[str, float]) -> dict[str, dict[str, float]]:
        if not len(values):
            return {}
        return {name: rate(metrics.match_rates(values, t)) for name, t in thresholds.items()}

    return {
        "metric": known.others.made_by.metric,
        "thresholds": known.thresholds,
        "non_mated_comparisons": known.non_mated,
        "gallery_subjects": len(known.others),
        "tar": at_each(mated, known.thresholds),
        "tar_found": at_each(mated[found], known.thresholds),
        "self_tar": at_each(scores.own, known.thresholds),
        "rekognition_like": at_each(mated, known.rekognition_like),
        "fnir": _fnir(np.nanmax(mated, axis=1)[:, None], known, seed),
        **{f"rank_{rank}": rate((ranks <= rank).astype(np.float64)) for rank in RANKS},
        "median_rank": float(np.median(ranks)),
        "mean_mated_similarity": float(np.nanmean(mated[found])) if found.any() else None,
    }


def _fnir(mated: NDArray[np.float32], known: Gallery, seed: int) -> dict[str, dict[str, float]]:
    """At every FPIR that so many searches for strangers can show."""
    return {
        name: asdict(metrics.fnir(mated, known.strangers, fpir, seed))
        for name, fpir in FPIRS.items()
        if fpir * len(known.strangers) >= 1
    }


def linkability(photos: Mapping[str, Sequence[Path]], bench: Bench) -> dict[str, Any]:
    """How well written photos of one person find each other, when the searcher holds no clean one.

    Args:
        photos: the written files of each subject; one of two or more is the rule, a single one is a stranger.
    Returns:
        per matcher TAR with interval: at the thresholds of clean photos, and at thresholds a searcher would set on
        these very photos. A face that is not found matches nobody, and is counted in `not_found`.
    Raises:
        ScoresUnusable: nobody has two photos, or there is only one subject.
    """
    files = [(subject, path) for subject, paths in photos.items() for path in paths]
    templates = [bench.reader.templates(path) for _, path in files]
    bench.reader.save()
    there = np.array([found is not None for found in templates])
    owners = np.array([subject for subject, _ in files])
    result: dict[str, Any] = {"photos": len(files), "not_found": int((~there).sum()), "matchers": {}}
    for name, known in bench.galleries.items():
        similarity = np.full((len(files), len(files)), -np.inf, np.float32)
        if there.any():
            seen = np.concatenate([found[name] for found in templates if found is not None])
            similarity[np.ix_(there, there)] = similarities(seen, seen, bench.reader.matchers[name].metric)
        mated, non_mated = metrics.pairs_within(similarity, owners)
        own = metrics.thresholds_shown(FMRS, non_mated)
        result["matchers"][name] = {
            f"tar_at_thresholds_of_{kind}_photos": {
                fmr: asdict(metrics.rate(metrics.match_rates(mated, t), bench.seed)) for fmr, t in thresholds.items()
            }
            for kind, thresholds in (("clean", known.thresholds), ("these", own))
        }
    return result


def mean_quality(files: Mapping[Sample, Path], bench: Bench) -> dict[str, Any]:
    """Means over the arm; largest change is the largest of all."""
    seen: dict[str, list[quality.Quality]] = {"photo": [], "face": []}
    outside: list[quality.Outside] = []
    for sample, path in files.items():
        original = decode(sample.probe)
        written = quality.shown_at(decode(path), original.shape[:2])
        seen["photo"].append(quality.compare(original, written))
        crops = [quality.crop(pixels, bench.boxes[sample]) for pixels in (original, written)]
        seen["face"].append(quality.compare(*crops))
        outside.append(quality.outside(original, written, bench.boxes[sample]))
    means = {
        part: {
            "psnr_db": _finite(np.mean([one.psnr_db for one in all_])),
            "ssim": float(np.mean([one.ssim for one in all_])),
            "ms_ssim": float(np.mean([one.ms_ssim for one in all_])),
            "ssimulacra2": float(np.mean([one.ssimulacra2 for one in all_])),
            "ssimulacra2_reference": float(np.mean([one.ssimulacra2_reference for one in all_])),
            "ssimulacra2_lowest_tenth": float(np.percentile([one.ssimulacra2 for one in all_], 10)),
            "largest_change": max(one.largest_change for one in all_),
        }
        for part, all_ in seen.items()
    }
    return means | {
        "outside_face": {
            "bytes_changed": float(np.mean([one.changed for one in outside])),
            "share_changed": float(np.mean([one.share for one in outside])),
        }
    }


def _finite(value: np.floating[Any]) -> float | None:
    """JSON has no infinity: the PSNR of an unchanged picture is null."""
    return float(value) if np.isfinite(value) else None
