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

from evaluation import matchers, metrics, quality
from evaluation.faces import decode
from evaluation.files import sha256_of
from evaluation.matchers import Metric, similarities
from evaluation.reading import Box, Reader
from evaluation.samples import Sample, Samples, SamplesUnusable, Split, read_samples

FMRS = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}
RANKS = (1, 10, 50)


@dataclass(frozen=True, slots=True)
class Gallery:
    """What one matcher knows before any protected file is shown to it. S subjects, M mates each, D others."""

    mates: NDArray[np.float32]  # (S, M, dimensions), NaN where no face was found in a mate
    others: NDArray[np.float32]  # (D, dimensions), one template per subject of the folder
    is_self: NDArray[np.bool_]  # (S, D) which of the others is the probe's own subject
    originals: NDArray[np.float32]  # (S, dimensions), the very photo that gets protected
    thresholds: dict[str, float]  # by name of the FMR
    non_mated: int  # comparisons behind the thresholds


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
    seed: int = 0,
) -> Bench:
    """Enrol the gallery and set the thresholds. The first call takes minutes, later ones read the cache.

    Args:
        data: the data pack; `photos` is its folder in LFW layout, `weights` its folder of networks.
        cache: folder for templates; created when missing.
    """
    reader = Reader(data / "weights", matcher_names or matchers.names(), cache)
    samples = read_samples(data / photos, split, subjects, skip)
    try:
        others = {subject: reader.templates(path) for subject, path in samples.distractors.items()}
        mates = [[reader.templates(path) for path in sample.mates] for sample in samples.probes]
        originals = {sample: reader.templates(sample.probe) for sample in samples.probes}
    finally:
        reader.save()
    lost = [s.subject for s, found in originals.items() if found is None]
    lost += [s.subject for s, row in zip(samples.probes, mates, strict=True) if not any(row)]
    if lost:
        raise SamplesUnusable(
            f"{data / photos}: no face in the clean probe or in any mate of {lost}. Nothing judged."
        )
    enrolled = {subject: found for subject, found in others.items() if found is not None}
    is_self = np.array([[subject == sample.subject for subject in enrolled] for sample in samples.probes])
    galleries = {}
    for name, matcher in reader.matchers.items():
        other = np.concatenate([found[name] for found in enrolled.values()])
        original = np.concatenate([found[name] for found in originals.values() if found is not None])
        nothing = np.full((1, other.shape[1]), np.nan, np.float32)
        mate = np.stack([np.concatenate([f[name] if f else nothing for f in row]) for row in mates])
        non_mated = similarities(original, other, matcher.metric)[~is_self]
        # An FMR that this many comparisons cannot show has no threshold and is left out of every result.
        shown = {label: fmr for label, fmr in FMRS.items() if fmr * non_mated.size >= 1}
        thresholds = {label: metrics.threshold_at(fmr, non_mated) for label, fmr in shown.items()}
        galleries[name] = Gallery(mate, other, is_self, original, thresholds, non_mated.size)
    missing = sum(found is None for found in [*others.values(), *(found for row in mates for found in row)])
    boxes = {sample: reader.main_box(sample.probe) for sample in samples.probes}
    return Bench(samples, boxes, galleries, reader, seed, missing)


def judge(files: Mapping[Sample, Path], bench: Bench, *, with_quality: bool = True) -> dict[str, Any]:
    """Numbers of one arm, ready for JSON.

    Args:
        files: the written file of each probe; a subset of the bench's probes is allowed.
    Returns:
        counts; per matcher TAR, rank and same-photo TAR, each with interval; mean quality of photo and face.
        A face that is not found counts as not matched in `tar`, `rank_1`...; `tar_found` leaves it out.
    """
    if not files:
        raise SamplesUnusable("an arm without files. Nothing judged.")
    place = {sample: row for row, sample in enumerate(bench.samples.probes)}
    rows = np.array([place[sample] for sample in files])
    sizes = {sample: bench.reader.find(sample.probe)[2] for sample in files}
    probes, enlarged = [], 0
    for sample, path in files.items():
        _, faces, size = bench.reader.find(path)
        ratio = size[0] / sizes[sample][0]
        probes.append(bench.reader.templates(path, bench.boxes[sample] * np.float32(ratio)))
        enlarged += faces.enlarged and probes[-1] is not None
    bench.reader.save()
    found = np.array([probe is not None for probe in probes])
    return {
        "subjects": len(files),
        "not_found": int((~found).sum()),
        "found_only_enlarged": int(enlarged),
        "equal_to_original": sum(
            sha256_of(path) == sha256_of(sample.probe) for sample, path in files.items()
        ),
        "matchers": {
            name: _rates(
                gallery,
                [None if probe is None else probe[name] for probe in probes],
                rows,
                bench.reader.matchers[name].metric,
                bench.seed,
            )
            for name, gallery in bench.galleries.items()
        },
        "quality": mean_quality(files, bench) if with_quality else None,
    }


def _rates(
    gallery: Gallery,
    probes: Sequence[NDArray[np.float32] | None],
    rows: NDArray[np.int64],
    metric: Metric,
    seed: int,
) -> dict[str, Any]:
    found = np.array([probe is not None for probe in probes])
    mated = np.full((len(rows), gallery.mates.shape[1]), -np.inf, np.float32)
    own = np.full((len(rows), 1), -np.inf, np.float32)
    others = np.full((len(rows), len(gallery.others)), -np.inf, np.float32)
    for i, (row, probe) in enumerate(zip(rows, probes, strict=True)):
        enrolled = np.isfinite(gallery.mates[row]).all(axis=1)
        mated[i, ~enrolled] = np.nan
        if probe is not None:
            mated[i, enrolled] = similarities(probe, gallery.mates[row][enrolled], metric)[0]
            own[i] = similarities(probe, gallery.originals[row : row + 1], metric)
            others[i] = similarities(probe, gallery.others, metric)[0]
            # The probe's own subject is a mate, not a stranger.
            others[i, gallery.is_self[row]] = -np.inf
    ranks = metrics.mate_ranks(mated, others)

    def rate(by_subject: NDArray[np.float64]) -> dict[str, float]:
        return asdict(metrics.rate(by_subject, seed))

    def at_each(scores: NDArray[np.float32]) -> dict[str, dict[str, float]]:
        return (
            {fmr: rate(metrics.match_rates(scores, t)) for fmr, t in gallery.thresholds.items()}
            if len(scores)
            else {}
        )

    return {
        "metric": metric,
        "thresholds": gallery.thresholds,
        "non_mated_comparisons": gallery.non_mated,
        "gallery_subjects": len(gallery.others),
        "tar": at_each(mated),
        "tar_found": at_each(mated[found]),
        "self_tar": at_each(own),
        **{f"rank_{rank}": rate((ranks <= rank).astype(np.float64)) for rank in RANKS},
        "median_rank": float(np.median(ranks)),
        "mean_mated_similarity": float(np.nanmean(mated[found])) if found.any() else None,
    }


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
