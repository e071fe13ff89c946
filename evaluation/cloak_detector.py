"""Tells cloaked faces from clean ones: a cloak that is easily seen by software marks its wearer.

Hand-made features of the aligned chip (how much there is of each spatial frequency, how neighbouring pixels differ) and
a logistic regression, trained on subjects other than those it is tried on. A better detector surely exists, so a low
AUC is no proof that a cloak cannot be seen; a high one is proof that it can.

Budget on one core: 10 ms per 250 px photo, finding the face included, and under a second of training. That is little:
120 cloaks of `light`, half of them to learn from, gave an AUC of 0.91 after JPEG 90 and of 0.63 after JPEG 50.

Source of the features: Pevny, Bas and Fridrich, IEEE TIFS 5(2), 2010 (differences of neighbours, truncated, by pairs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.adaptive import Detector
from evaluation.faces import Pixels, chip, decode, main_face
from evaluation.publishing import publish
from evaluation.samples import Sample, SamplesUnusable

CHIP_PX = 112
BANDS = 20
LARGEST_DIFFERENCE = 3
# Weight of the penalty on standardised features; chosen on noise of 2 and 4 levels, before any cloak was shown to it.
RIDGE = 10.0
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Logistic:
    """A logistic regression on standardised features."""

    mean: NDArray[np.float64]  # (F,)
    deviation: NDArray[np.float64]  # (F,)
    weights: NDArray[np.float64]  # (F,)
    bias: float

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,), higher is more likely of class 1; from features (N, F)."""
        return np.asarray((features - self.mean) / self.deviation @ self.weights + self.bias, np.float64)


def try_detector(
    clean: Mapping[Sample, Path],
    cloaked: Mapping[Sample, Path],
    detector: Detector,
    folder: Path,
    *,
    step: str = "jpeg90",
    seed: int = 0,
) -> dict[str, Any]:
    """Train on half of the subjects, try on the other half.

    Args:
        clean: files of the same samples as `cloaked`. They should have been encoded as the tool encodes (a no-op
            through the same encoder), or the detector learns the encoder.
        folder: for the published files.
        step: both are published alike before they are looked at, see `publishing`.
    Returns:
        AUC on the subjects not trained on, with its 95 % bootstrap interval by subject, and the counts.
    Raises:
        SamplesUnusable: other samples on one side than on the other, or fewer than 8 subjects with a face on both.
    """
    if set(clean) != set(cloaked):
        raise SamplesUnusable("clean and cloaked files of different samples. The detector was not trained.")
    features: dict[Sample, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for number, sample in enumerate(clean):
        # Numbered, because names of different subjects may be equal.
        both = [
            _features_of(publish(files[sample], folder / name / f"{number:05d}", step), detector)
            for name, files in (("clean", clean), ("cloaked", cloaked))
        ]
        if both[0] is not None and both[1] is not None:
            features[sample] = (both[0], both[1])
    learnt = [sample for sample in features if _is_for_training(sample.subject)]
    tried = [sample for sample in features if not _is_for_training(sample.subject)]
    if min(len({s.subject for s in side}) for side in (learnt, tried)) < 4:
        raise SamplesUnusable(
            f"{len(learnt)} and {len(tried)} photos with a face to train and to try on; 4 subjects each are needed."
        )
    rows = np.array([row for sample in learnt for row in features[sample]])
    model = fit(rows, np.tile([0.0, 1.0], len(learnt)))
    negative, positive = (model.scores(np.array([features[s][side] for s in tried])) for side in (0, 1))
    low, high = _interval(negative, positive, [sample.subject for sample in tried], seed)
    return {
        "auc": {"value": auc(negative, positive), "low": low, "high": high},
        "auc_trained_on": auc(*(model.scores(rows[side::2]) for side in (0, 1))),
        "subjects_trained_on": len({sample.subject for sample in learnt}),
        "subjects_tried": len({sample.subject for sample in tried}),
        "samples_without_a_face": len(clean) - len(features),
        "published": step,
    }


def features_of_chip(pixels: Pixels) -> NDArray[np.float64]:
    """(F,) of one aligned (CHIP_PX, CHIP_PX, 3) RGB chip."""
    planes = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb).astype(np.float64).transpose(2, 0, 1)
    found = []
    for plane in planes:
        found.append(_log_power(plane))
        for axis in (0, 1):
            second = np.diff(plane, 2, axis=axis)
            found.append(np.log([np.abs(second).mean() + 0.01, (second**2).mean() + 0.01]))
    for axis in (0, 1):
        found.append(_pairs_of_differences(planes[0], axis))
    return np.concatenate(found)


def fit(features: NDArray[np.float64], labels: NDArray[np.float64], ridge: float = RIDGE) -> Logistic:
    """Logistic regression with a squared penalty, by Newton's method.

    Args:
        features: (N, F).
        labels: (N,) of 0 and 1.
    """
    mean, deviation = features.mean(0), features.std(0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    design = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    penalty = np.append(np.full(features.shape[1], ridge), 1e-6)  # the bias is not held back
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-np.clip(design @ solution, -30, 30)))
        gradient = design.T @ (probability - labels) + penalty * solution
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + np.diag(penalty)
        change = np.linalg.solve(curvature, gradient)
        solution -= change
        if np.abs(change).max() < 1e-8:
            break
    return Logistic(mean, deviation, solution[:-1], float(solution[-1]))


def auc(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> float:
    """The chance that a positive scores above a negative; ties count half. 0.5 is guessing.

    Source: Mann and Whitney 1947.
    """
    above = np.searchsorted(np.sort(negative), positive, side="left")
    not_below = np.searchsorted(np.sort(negative), positive, side="right")
    return float((above + not_below).sum() / (2 * len(negative) * len(positive)))


def _features_of(path: Path, detector: Detector) -> NDArray[np.float64] | None:
    pixels = decode(path)
    faces = detector.find(pixels)
    index = main_face(faces, pixels.shape[:2])
    return None if index is None else features_of_chip(chip(pixels, faces.landmarks[index], CHIP_PX))


def _is_for_training(subject: str) -> bool:
    """By name alone; other bytes of the digest than `samples.split_of` and the data pack use."""
    return hashlib.sha1(subject.encode()).digest()[4] < 128


def _log_power(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """(BANDS,) mean power in rings of spatial frequency, from coarse to fine, as logarithms."""
    window = np.hanning(len(plane))
    power = np.abs(np.fft.fft2((plane - plane.mean()) * np.outer(window, window))) ** 2
    frequency = np.fft.fftfreq(len(plane))
    radius = np.hypot(frequency[:, None], frequency[None])
    band = np.minimum((radius / 0.5 * BANDS).astype(int), BANDS - 1)
    sums = np.bincount(band.ravel(), power.ravel(), BANDS) / np.bincount(band.ravel(), minlength=BANDS)
    return np.log(sums + 1.0)


def _pairs_of_differences(plane: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """How often each pair of adjacent differences occurs, each cut to +-LARGEST_DIFFERENCE."""
    largest = LARGEST_DIFFERENCE
    difference = np.clip(np.rint(np.diff(plane, axis=axis)), -largest, largest).astype(int) + largest
    first, second = np.delete(difference, -1, axis), np.delete(difference, 0, axis)
    side = 2 * largest + 1
    counts = np.bincount((first * side + second).ravel(), minlength=side**2)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float64)


def _interval(
    negative: NDArray[np.float64], positive: NDArray[np.float64], subjects: list[str], seed: int
) -> tuple[float, float]:
    """95 % percentile bootstrap, resampling subjects."""
    rows_of = [np.flatnonzero([name == one for name in subjects]) for one in sorted(set(subjects))]
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[i] for i in generator.integers(0, len(rows_of), len(rows_of))])
        drawn.append(auc(negative[rows], positive[rows]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
