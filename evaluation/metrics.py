"""Error rates of recognisers, on similarities where higher is more alike.

Convention: two templates match when their similarity is *greater* than the threshold. A face that was not
found has similarity -inf to everything: it is never matched, and callers report how many there were beside
every rate. A mate that could not be enrolled has similarity NaN: it is left out. Rows are subjects, because
subjects are what the intervals resample: the photos of one person rise and fall together.

Names and definitions: ISO/IEC 19795-1 and Grother et al., NIST IR 8271 (FRVT part 2), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationFailed

Scores = NDArray[np.float32]

RESAMPLES = 2000

# A scale of our own, not Amazon's: what a similarity of 80 means there is not published. Known is what searches with
# it did. At 80, 28 of 535 searches of 25,000 arrest photos gave a wrong person (ACLU, 26 July 2018): one false match
# in about 480,000 comparisons. At 99, Amazon reports none. Both anchors here are more lenient than that, so that
# "80" and "99" find more than the service would and a cloak never looks better than it is. 1e-5 is also the strictest
# rate lfw-dev can show: its strictest few comparisons are photos of one person under two names.
REKOGNITION_LIKE = {"80": 1e-4, "99": 1e-5}


class ScoresUnusable(EvaluationFailed):
    """Similarities that cannot carry the rate that was asked for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean over subjects and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of pairs called right, each fold by the threshold that was best on the others."""

    mean: float
    standard_error: float  # of the mean over folds
    thresholds: tuple[float, ...]  # one per fold


def threshold_at(fmr: float, non_mated: Scores) -> float:
    """The lowest observed score at which the false match rate is not exceeded.

    Args:
        fmr: false match rate in (0, 1).
        non_mated: similarities of different people, any shape. With the best similarity of each search for
            somebody who is not enrolled, the result is the threshold at a false positive identification rate.
    Raises:
        ScoresUnusable: there are not enough scores to see one false match at this rate.
    """
    scores = np.sort(non_mated.ravel())[::-1]
    allowed = _allowed(fmr, scores)
    return float(scores[allowed]) if allowed < len(scores) else float("-inf")


def thresholds_shown(fmrs: Mapping[str, float], non_mated: Scores) -> dict[str, float]:
    """Threshold by the name of the rate; a rate that so few scores cannot show is left out."""
    shown = {name: fmr for name, fmr in fmrs.items() if fmr * non_mated.size >= 1 - 1e-9}
    return {name: threshold_at(fmr, non_mated) for name, fmr in shown.items()}


def match_rates(mated: Scores, threshold: float) -> NDArray[np.float64]:
    """Share of each subject's mated comparisons that match: (subjects, mates) to (subjects,).

    Raises:
        ScoresUnusable: a subject without any mate.
    """
    there = (~np.isnan(mated)).sum(axis=1)
    if (there == 0).any():
        raise ScoresUnusable(f"{(there == 0).sum()} subjects have no mated score that is a number; no rate was made.")
    return np.asarray((mated > threshold).sum(axis=1) / there, np.float64)


def fnmr(mated: Scores, threshold: float, seed: int) -> Rate:
    """False non-match rate: share of mated comparisons (subjects, mates) at or below the threshold."""
    return rate(1 - match_rates(mated, threshold), seed)


def fnir(mated: Scores, non_mated: Scores, fpir: float, seed: int) -> Rate:
    """False negative identification rate at a false positive identification rate.

    Args:
        mated: similarity of the best mate in each search for an enrolled person, (subjects, searches).
        non_mated: best similarity in each search for a person who is not enrolled, (searches,).
        fpir: share of the searches for strangers that may return anybody.
    Returns:
        share of the searches that do not return the mate. The interval resamples both kinds of search, because
        the threshold is measured too.
    Raises:
        ScoresUnusable: `threshold_at` and `match_rates`.
    """
    value = 1 - match_rates(mated, threshold_at(fpir, non_mated)).mean()
    generator = np.random.default_rng(seed)
    drawn = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        threshold = threshold_at(fpir, generator.choice(non_mated, len(non_mated)))
        rows = generator.integers(0, len(mated), len(mated))
        drawn[i] = 1 - match_rates(mated[rows], threshold).mean()
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Rate(float(value), float(low), float(high))


def equal_error_rate(mated: Scores, non_mated: Scores) -> float:
    """Where the share of strangers above the threshold meets the share of mates that are not.

    Thresholds are the observed scores; the mean of both errors where they differ least.
    """
    _numbers(mated, "mated")
    _numbers(non_mated, "non-mated")
    strangers, mates = np.sort(non_mated.ravel()), np.sort(mated.ravel())
    thresholds = np.unique(np.concatenate([strangers, mates]))
    false_matches = 1 - np.searchsorted(strangers, thresholds, side="right") / len(strangers)
    false_non_matches = np.searchsorted(mates, thresholds, side="right") / len(mates)
    nearest = int(np.argmin(np.abs(false_matches - false_non_matches)))
    return float((false_matches[nearest] + false_non_matches[nearest]) / 2)


def accuracy_by_folds(scores: Scores, same: NDArray[np.bool_], fold: NDArray[np.int64]) -> Accuracy:
    """Verification accuracy as the authors of LFW define it (view 2).

    Args:
        scores: similarity of each pair, (pairs,).
        same: whether it is one person, (pairs,).
        fold: which fold each pair belongs to, (pairs,).
    Raises:
        ScoresUnusable: NaN, fewer than two folds, or only one kind of pair outside a fold.

    Source: Huang et al. 2007, UMass 07-49, section 4.
    """
    _numbers(scores, "pair")
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ScoresUnusable(f"{len(folds)} fold: a threshold must be chosen on other pairs than it is judged on.")
    right, thresholds = [], []
    for one in folds:
        held = fold == one
        thresholds.append(_best_threshold(scores[~held], same[~held]))
        right.append(((scores[held] > thresholds[-1]) == same[held]).mean())
    error = float(np.std(right, ddof=1) / np.sqrt(len(right)))
    return Accuracy(float(np.mean(right)), error, tuple(thresholds))


def best_accuracy(scores: Scores, same: NDArray[np.bool_]) -> float:
    """Share of pairs called right by the threshold that is best on these very pairs: a little optimistic."""
    _numbers(scores, "pair")
    return float(((scores > _best_threshold(scores, same)) == same).mean())


def pairs_within(
    similarity: Scores, subjects: NDArray[np.str_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """All comparisons among one set of photos: for linkability, the photos are all cloaked.

    Args:
        similarity: of every photo with every photo, (photos, photos).
        subjects: who is on each photo, (photos,).
    Returns:
        mated scores (subjects with two photos or more, pairs), padded with NaN; non-mated scores (pairs,).
    Raises:
        ScoresUnusable: no subject has two photos, or there is only one subject.
    """
    first, second = np.triu_indices(len(subjects), 1)
    scores, one_person = similarity[first, second], subjects[first] == subjects[second]
    owners = subjects[first][one_person]
    if not one_person.any() or one_person.all():
        raise ScoresUnusable("linkability needs two photos of somebody, and somebody else. Nothing was compared.")
    rows = [scores[one_person][owners == owner] for owner in np.unique(owners)]
    mated = np.full((len(rows), max(map(len, rows))), np.nan, np.float32)
    for row, found in zip(mated, rows):
        row[: len(found)] = found
    return mated, scores[~one_person]


def rate(by_subject: NDArray[np.float64], seed: int) -> Rate:
    """Mean of one value per subject, with a percentile bootstrap over subjects.

    Source: Efron and Tibshirani 1993, chapter 13. Subjects are resampled, not comparisons: the mates of one
    person rise and fall together.
    """
    if not len(by_subject):
        raise ScoresUnusable("a rate over no subjects.")
    if np.isnan(by_subject).any():
        raise ScoresUnusable("a subject's value is not a number; no rate was made.")
    draws = np.random.default_rng(seed).integers(0, len(by_subject), (RESAMPLES, len(by_subject)))
    low, high = np.percentile(by_subject[draws].mean(axis=1), [2.5, 97.5])
    return Rate(float(by_subject.mean()), float(low), float(high))


def proportion(count: int, of: int) -> Rate:
    """A share with its 95 % Wilson score interval, which is honest where a bootstrap is not: at none of so many.

    Whoever are counted are taken to be independent; people in one photo are only nearly so.

    Raises:
        ScoresUnusable: none were looked at.

    Source: Wilson 1927, JASA 22, 209-212.
    """
    if of < 1 or not 0 <= count <= of:
        raise ScoresUnusable(f"{count} of {of} is no share.")
    z = NormalDist().inv_cdf(0.975)
    share = count / of
    centre, half = share + z**2 / (2 * of), z * sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    low, high = (centre - half) / (1 + z**2 / of), (centre + half) / (1 + z**2 / of)
    return Rate(share, low if count else 0.0, high if count < of else 1.0)


def _allowed(fmr: float, scores: Scores) -> int:
    """How many of the scores may lie above the threshold."""
    _numbers(scores, "non-mated")
    # Float products such as 1e-3 * 3000 fall just short of the integer they mean.
    allowed = int(np.floor(fmr * len(scores) + 1e-9))
    if allowed < 1:
        raise ScoresUnusable(
            f"{len(scores)} non-mated scores cannot show a false match rate of {fmr}; it needs {1 / fmr:.0f}."
        )
    return allowed


def _best_threshold(scores: Scores, same: NDArray[np.bool_]) -> float:
    """Halfway between the two neighbouring scores that separate the kinds best; the lowest of equals."""
    if same.all() or not same.any():
        raise ScoresUnusable("only one kind of pair outside a fold: no threshold can be chosen.")
    order = np.argsort(scores, kind="stable")
    ranked, kinds = scores[order], same[order]
    right = np.cumsum(~kinds) + kinds.sum() - np.cumsum(kinds)  # with the threshold behind each score
    right[:-1][ranked[:-1] == ranked[1:]] = 0  # equal scores cannot be separated
    best = int(np.argmax(right))
    return float(ranked[best] if best + 1 == len(ranked) else (ranked[best] + ranked[best + 1]) / 2)


def _numbers(scores: Scores, kind: str) -> None:
    if np.isnan(scores).any():
        raise ScoresUnusable(f"a {kind} score is not a number; no rate and no threshold was made.")
