"""Error rates of recognisers, on similarities where higher is more alike.

Convention: two templates match when their similarity is *greater* than the threshold. A face that was not
found has similarity -inf to everything: it is never matched, and callers report how many there were beside
every rate. A mate that could not be enrolled has similarity NaN: it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean over subjects and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def threshold_at(fmr: float, non_mated: Scores) -> float:
    """The lowest observed score at which the false match rate is not exceeded.

    Args:
        fmr: false match rate in (0, 1).
        non_mated: similarities of different people, any shape.
    Raises:
        ValueError: there are not enough scores to see one false match at this rate.
    """
    scores = np.sort(non_mated.ravel())[::-1]
    if np.isnan(scores).any():
        raise ValueError("a non-mated score is not a number; no threshold was set.")
    # Float products such as 1e-3 * 3000 fall just short of the integer they mean.
    allowed = int(np.floor(fmr * len(scores) + 1e-9))
    if allowed < 1:
        raise ValueError(
            f"{len(scores)} non-mated scores cannot show a false match rate of {fmr}; it needs {1 / fmr:.0f}."
        )
    return float(scores[allowed]) if allowed < len(scores) else float("-inf")


def match_rates(mated: Scores, threshold: float) -> NDArray[np.float64]:
    """Share of each subject's mated comparisons that match: (subjects, mates) to (subjects,)."""
    return np.asarray((mated > threshold).sum(axis=1) / (~np.isnan(mated)).sum(axis=1), np.float64)


def mate_ranks(mated: Scores, non_mated: Scores) -> NDArray[np.int64]:
    """Rank of the best mate in each search, 1 is first.

    Args:
        mated: similarities (subjects, mates).
        non_mated: similarities (subjects, others); -inf leaves one out.
    Returns:
        (subjects,).

    Ties go to the mate, that is against the protection. Where the probe's face was not found the rank is one
    behind the end of the list.
    """
    best = np.nanmax(mated, axis=1)
    ranks = 1 + (non_mated > best[:, None]).sum(axis=1)
    last = non_mated.shape[1] + mated.shape[1]
    return np.asarray(np.where(np.isneginf(best), last + 1, ranks), np.int64)


def rate(by_subject: NDArray[np.float64], seed: int) -> Rate:
    """Mean of one value per subject, with a percentile bootstrap over subjects.

    Source: Efron and Tibshirani 1993, chapter 13. Subjects are resampled, not comparisons: the mates of one
    person rise and fall together.
    """
    if not len(by_subject):
        raise ValueError("a rate over no subjects.")
    draws = np.random.default_rng(seed).integers(0, len(by_subject), (RESAMPLES, len(by_subject)))
    low, high = np.percentile(by_subject[draws].mean(axis=1), [2.5, 97.5])
    return Rate(float(by_subject.mean()), float(low), float(high))
