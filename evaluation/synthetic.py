"""Templates of people who do not exist, for galleries larger than any folder of photos.

Each is drawn between two real people who are alike, and scattered so that all of them together have about the
mean and the covariance of real templates. A normal distribution alone is no crowd: it has nobody's double, and at the
threshold where one real stranger in 10,000 matches it lets through 3 to 100 times fewer. With two parents the ratio
is .7 to 1.3 for the three matchers (tests; `realism` in results/gallery.json).

Two limits. A drawn person resembles its parents, so nobody may be a parent who is searched for. And the crowd
has no more variety than its parents: the best stranger of a search grows more slowly with the size of the gallery
than among real people (`growth` in the same file), so error rates of very large synthetic galleries flatter the
searcher, which is the safe side for judging a cloak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.gallery import GalleryUnusable, Templates
from evaluation.matchers import Metric, similarities

# The second parent is one of so many most alike. 5, 20 and 100 gave about equal tails on the half of lfw-dev that was
# not fitted; a few keep the drawn people inside their cluster.
NEIGHBOURS = 10
# Shares of the parents come from a U-shaped beta(0.3, 0.3). An even mix (1, 1) has thinner tails: ratios .6 to .8.
SHAPE = 0.3

FMRS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, slots=True)
class Population:
    """What templates are drawn from. P parents in D dimensions."""

    mean: NDArray[np.float32]  # (D,)
    parents: Templates  # (P, D), without the mean
    alike: NDArray[np.int64]  # (P, NEIGHBOURS) the most alike of the others
    scatter: NDArray[np.float32]  # (D, D) turns white noise into what mixing took from the covariance
    metric: Metric


def fit(templates: Templates, metric: Metric) -> Population:
    """Learn from real templates (P, D), one per person.

    Raises:
        GalleryUnusable: fewer people than a neighbourhood needs.
        TemplateBroken: a template that is not finite or is zero.
    """
    if len(templates) <= 2 * NEIGHBOURS:
        raise GalleryUnusable(f"{len(templates)} people are too few to draw others from; {2 * NEIGHBOURS + 1} needed.")
    real = _on_sphere(templates.astype(np.float64), metric)
    mean = real.mean(axis=0)
    centred = real - mean
    alike = similarities(centred.astype(np.float32), centred.astype(np.float32), "cosine")
    np.fill_diagonal(alike, -np.inf)
    nearest = np.argsort(-alike, axis=1)[:, :NEIGHBOURS]
    # Deterministic, so that a population is a function of its people alone.
    mixed = _mix(centred, nearest, 10 * len(centred), np.random.default_rng(0))
    values, vectors = np.linalg.eigh(np.cov(centred.T) - np.cov(mixed.T))
    scatter = vectors * np.sqrt(np.clip(values, 0, None))
    return Population(
        mean.astype(np.float32), centred.astype(np.float32), nearest, scatter.astype(np.float32), metric
    )


def draw(population: Population, count: int, generator: np.random.Generator) -> Templates:
    """`count` templates, (count, D), of unit length when the metric is cosine."""
    mixed = _mix(population.parents, population.alike, count, generator)
    noise = generator.standard_normal(mixed.shape, np.float32) @ population.scatter.T
    return np.asarray(_on_sphere(population.mean + mixed + noise, population.metric), np.float32)


def realism(templates: Templates, metric: Metric, generator: np.random.Generator) -> dict[str, Any]:
    """How strangers look to real people, drawn ones beside real ones.

    One half of the people is fitted, and the other half compared with itself and with drawn people.

    Returns:
        largest distance of the two distributions of similarities (Kolmogorov and Smirnov); by FMR the threshold that
        has it among real people, and how many times as often a drawn one exceeds it.
    """
    order = generator.permutation(len(templates))
    fitted, held = templates[order[: len(order) // 2]], templates[order[len(order) // 2 :]]
    drawn = draw(fit(fitted, metric), 2 * len(held), generator)
    real = np.sort(similarities(held, held, metric)[np.triu_indices(len(held), 1)])
    synthetic = np.sort(similarities(held, drawn, metric).ravel())
    where = np.concatenate([real, synthetic])
    below = [np.searchsorted(scores, where, side="right") / len(scores) for scores in (real, synthetic)]
    thresholds = {fmr: real[len(real) - 1 - int(fmr * len(real))] for fmr in FMRS if fmr * len(real) >= 10}
    return {
        "real_comparisons": len(real),
        "synthetic_comparisons": len(synthetic),
        "ks_distance": float(np.abs(below[0] - below[1]).max()),
        "at_fmr": {
            f"{fmr:g}": {"threshold": float(t), "ratio": float((synthetic > t).mean() / (real > t).mean())}
            for fmr, t in thresholds.items()
        },
    }


def growth(
    templates: Templates, metric: Metric, sizes: Sequence[int], generator: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Median similarity of a real person's best stranger, by the number of strangers, real and drawn ones."""
    order = generator.permutation(len(templates))
    fitted, held = templates[order[: len(order) // 2]], templates[order[len(order) // 2 :]][:300]
    population = fit(fitted, metric)
    medians: dict[str, dict[str, float]] = {}
    for kind in ("real", "synthetic"):
        best, seen = np.full(len(held), -np.inf, np.float32), 0
        medians[kind] = {}
        for size in sizes:
            if kind == "real" and size > len(fitted):
                break
            more = fitted[seen:size] if kind == "real" else draw(population, size - seen, generator)
            for start in range(0, len(more), 50_000):
                best = np.maximum(best, similarities(held, more[start : start + 50_000], metric).max(axis=1))
            seen = size
            medians[kind][str(size)] = float(np.median(best))
    return medians


def _mix(
    parents: NDArray[Any], alike: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[Any]:
    first = generator.integers(0, len(parents), count)
    second = alike[first, generator.integers(0, alike.shape[1], count)]
    share = generator.beta(SHAPE, SHAPE, (count, 1)).astype(parents.dtype)
    return np.asarray(share * parents[first] + (1 - share) * parents[second])


def _on_sphere(templates: NDArray[Any], metric: Metric) -> NDArray[Any]:
    if metric != "cosine":
        return templates
    return np.asarray(templates / np.linalg.norm(templates, axis=1, keepdims=True))
