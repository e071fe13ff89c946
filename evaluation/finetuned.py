"""A recogniser's last layer, trained anew on what a tool makes of other people.

head = train(treated, clean, pairs)
similarities(head.of_treated(probes), head.of_clean(gallery), "cosine")

The searcher runs the tool on photos of people of his own and learns two things about his recogniser's templates: where
treated ones have moved to (an affine map back, held to the identity where the photos say nothing) and in which
directions photos of one person differ anyway (within-class whitening). How far to trust either is chosen by
cross-validation on his own people. Thresholds come from the scores of the new templates, see `adaptive.searched`.

Budget on one core: under 2 s of processor time per recogniser once the templates are there, nothing per probe.

Source of the whitening: within-class covariance normalisation, Hatch et al., Interspeech 2006.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.samples import SamplesUnusable

Templates = NDArray[np.float32]  # (N, D)
Wide = NDArray[np.float64]

# Penalty of the map, as a share of the mean squared length of what it maps; infinite: only the mean is moved.
RIDGES = (0.1, 0.5, 2.0, 10.0, np.inf)
# Share of the identity in the within-person covariance; 1: no whitening.
SHRINKAGES = (0.1, 0.3, 0.6, 1.0)
FOLDS = 5
FEWEST = 2 * FOLDS


@dataclass(frozen=True, slots=True)
class Head:
    """Compare `of_treated` with `of_clean` by the cosine."""

    treated_mean: Wide  # (D,)
    clean_mean: Wide  # (D,)
    back: Wide  # (D, D) from treated to clean, on rows
    whitening: Wide  # (D, D)
    unit: bool  # templates are brought to unit length first
    record: dict[str, Any]  # what it was trained on, what was chosen, cpu_s, seed

    def of_treated(self, templates: Templates) -> Templates:
        """(N, D + 1) of templates of treated faces."""
        return _never_zero((_scaled(templates, self.unit) - self.treated_mean) @ self.back @ self.whitening)

    def of_clean(self, templates: Templates) -> Templates:
        """(N, D + 1) of templates of clean faces."""
        return _never_zero((_scaled(templates, self.unit) - self.clean_mean) @ self.whitening)


def train(
    treated: Templates, clean: Templates, pairs: tuple[Templates, Templates], *, unit: bool = True, seed: int = 0
) -> Head:
    """Train on people none of whom is searched for or enrolled later.

    Args:
        treated: of one treated photo of each of N people, (N, D).
        clean: of one clean photo of each of the same people, (N, D); better not the photo that was treated.
        pairs: two clean photos each of M people, (M, D) twice; they may be the same or other people.
        unit: whether only the direction of a template means something, as it does under the cosine.
    Raises:
        SamplesUnusable: rows that do not belong together, or fewer than 10 people.
    """
    if treated.shape != clean.shape or pairs[0].shape != pairs[1].shape or min(len(treated), len(pairs[0])) < FEWEST:
        raise SamplesUnusable(
            f"treated {treated.shape}, clean {clean.shape}, pairs {pairs[0].shape} and {pairs[1].shape}: rows must "
            f"belong together and be {FEWEST} or more. Nothing was learnt."
        )
    started = time.process_time()
    x, y = _scaled(treated, unit), _scaled(clean, unit)
    one, other = (_scaled(side, unit) for side in pairs)
    clean_mean = np.concatenate([one, other]).mean(0)
    within = _within(one, other)
    whitenings = {share: _whitening(within, share) for share in SHRINKAGES}
    fold = np.random.default_rng(seed).permutation(len(x)) % FOLDS
    apart = dict.fromkeys([(ridge, share) for ridge in RIDGES for share in SHRINKAGES], 0.0)
    for held_out in range(FOLDS):
        mine, theirs = fold != held_out, fold == held_out
        mean = x[mine].mean(0)
        for ridge in RIDGES:
            mapped = (x[theirs] - mean) @ _back(x[mine] - mean, y[mine] - clean_mean, ridge)
            for share, whitening in whitenings.items():
                apart[ridge, share] += _apart(mapped @ whitening, (y[theirs] - clean_mean) @ whitening) / FOLDS
    # The first of equals is the one that changes least: constants teach nothing.
    ridge, share = max(reversed(apart), key=lambda choice: apart[choice])
    treated_mean = x.mean(0)
    return Head(treated_mean, clean_mean, _back(x - treated_mean, y - clean_mean, ridge), whitenings[share], unit, {
        "people": len(x),
        "clean_pairs": len(one),
        "ridge": None if np.isinf(ridge) else ridge,
        "shrinkage": share,
        "apart_in_cross_validation": apart[ridge, share],
        "apart_without_a_head": apart[np.inf, 1.0],
        "cpu_s": time.process_time() - started,
        "seed": seed,
    })


def _back(x: Wide, y: Wide, ridge: float) -> Wide:
    """(D, D): the map from rows of x to rows of y with least squared error and least departure from the identity."""
    identity = np.eye(x.shape[1])
    size = (x**2).sum() / len(x)
    if np.isinf(ridge) or size == 0:
        return identity
    # With fewer rows than columns the system of the rows is the smaller one.
    weights = np.linalg.solve(x @ x.T + ridge * size * np.eye(len(x)), y - x)
    return np.asarray(identity + x.T @ weights, np.float64)


def _within(one: Wide, other: Wide) -> Wide:
    """(D, D): covariance of what differs between two photos of a person."""
    difference = (one - other) / np.sqrt(2)
    return np.asarray(difference.T @ difference / len(difference), np.float64)


def _whitening(within: Wide, share: float) -> Wide:
    values, vectors = np.linalg.eigh(within)
    level = max(float(values.mean()), 1e-12)
    scale = 1 / np.sqrt((1 - share) * np.maximum(values, 0) / level + share)
    return np.asarray(vectors * scale @ vectors.T, np.float64)


def _apart(mapped: Wide, clean: Wide) -> float:
    """How far mated cosines lie above non-mated ones, in standard deviations of the latter."""
    cosines = _directions(mapped) @ _directions(clean).T
    non_mated = cosines[~np.eye(len(cosines), dtype=bool)]
    return float((np.diag(cosines).mean() - non_mated.mean()) / max(float(non_mated.std()), 1e-9))


def _directions(rows: Wide) -> Wide:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float64)


def _scaled(templates: Templates, unit: bool) -> Wide:
    wide = templates.astype(np.float64)
    return _directions(wide) if unit else wide


def _never_zero(rows: Wide) -> Templates:
    """One more column: a face of which nothing is left maps to zero, which has no direction."""
    directed = np.where(np.linalg.norm(rows, axis=1, keepdims=True) > 1e-6, _directions(rows), 0.0)
    return np.column_stack([directed, np.full(len(rows), 1e-3)]).astype(np.float32)
