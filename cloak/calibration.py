"""From a similarity to the false match rate at which it would still be called a match.

Each recogniser's curve is made from real pairs of strangers: the shipped ones, `calibration/<name>.json`, by
`scripts/calibrate.py`, those of models a user added when they were added. A curve belongs to the bytes of a weight file
and to what it is fed, not to a name. A recogniser without one can take part in making a cloak and cannot judge it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cloak import crops, store, weights
from cloak.errors import SettingsInvalid, WeightsCorrupt
from cloak.store import Recipe

# The operating point of the verdict: one stranger in a thousand would be accepted too.
VERDICT_FMR = 1e-3

# Three a decade, and to the top: a cloaked face lies where most strangers do.
RATES = (0.99, 0.9, 0.7, *(float(f"{m}e-{e}") for e in range(1, 7) for m in (5, 2, 1)))
# The share of strangers beyond a similarity is read off the pairs only where at least so many lie there
PAIRS_BEYOND = 30
# With fewer pairs not even the middle of the strangers is known
FEWEST_PAIRS = 28
# How sure a fitted mean and spread shall be not to be above the true ones, each
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Curve:
    """False match rate against similarity for one recogniser behind one detector."""

    recogniser: str
    weights_sha256: str
    detector: str
    subjects: int
    impostor_pairs: int
    source: str
    fmr: tuple[float, ...]  # falling
    similarity: tuple[float, ...]  # rising; at or above it, that share of impostor pairs lies
    # "fitted": too few strangers to read VERDICT_FMR off them; there it is the tail of a normal distribution, kept low
    made: Literal["measured", "fitted"] = "measured"
    same_network: tuple[str, ...] = ()  # sha256 of other files that hold the same values
    recipe: dict[str, Any] | None = None  # what the network was fed, where its reader does not know it

    def threshold(self, fmr: float) -> float:
        """The similarity that this share of impostor pairs reaches. `fmr` within the curve."""
        if not self.fmr[-1] <= fmr <= self.fmr[0]:
            raise ValueError(f"{self.recogniser}: FMR {fmr} is outside the calibrated {self.fmr[-1]} to {self.fmr[0]}")
        return float(np.interp(-np.log10(fmr), -np.log10(self.fmr), self.similarity))

    def fmr_at(self, similarity: float) -> float:
        """The operating point at which this similarity is only just a match, held within the curve's ends."""
        return float(10 ** -np.interp(similarity, self.similarity, -np.log10(self.fmr)))

    def fields(self) -> dict[str, object]:
        """What a JSON file holds of it."""
        return dataclasses.asdict(self)


def find(recogniser: str) -> Curve | None:
    """The curve of a bundled or an installed recogniser; None where nobody measured one.

    Raises:
        WeightsMissing: there is no such recogniser.
        WeightsCorrupt: its calibration is damaged, or of another file.
    """
    bundled = weights.registry().get(recogniser)
    if bundled is not None and bundled.is_bundled:
        return shipped(bundled.sha256, None)
    model = store.describe(recogniser)
    curve = shipped(model.sha256, model.recipe)
    if curve is None and model.calibration.is_file():
        curve = _read(model.calibration.read_text("utf-8"), str(model.calibration))
        if curve.weights_sha256 != model.sha256 or not _is_same(curve.recipe, model.recipe):
            raise WeightsCorrupt(f"{model.calibration}: is the calibration of other weights or another preprocessing. "
                                 f"Remove the model {recogniser} and add it again; nothing was judged.")
    return None if curve is None else dataclasses.replace(curve, recogniser=recogniser)


def curve(recogniser: str) -> Curve:
    """The curve of a recogniser that has one.

    Raises:
        SettingsInvalid: it has none.
    """
    found = find(recogniser)
    if found is None:
        raise SettingsInvalid(f"{recogniser}: nobody measured which similarity means what, so it cannot judge. "
                              "Install it again with --strangers FOLDER. Nothing was judged.")
    return found


def shipped(sha256: str, recipe: Recipe | None) -> Curve | None:
    """The curve that comes along for a file with these bytes, if it is fed as it was when that was measured."""
    for known in _shipped():
        if known.weights_sha256 == sha256 and _is_same(known.recipe, recipe):
            return known
        if sha256 in known.same_network and recipe is None:  # a reader of its own feeds it as it should be
            return known
    return None


def measure(similarities: NDArray[np.floating]) -> tuple[list[float], list[float], Literal["measured", "fitted"]]:
    """The rates, the similarity at each, and how that at VERDICT_FMR was got, from (K,) pairs of strangers.

    A similarity is read off the pairs while PAIRS_BEYOND of them lie beyond it. Where that ends before VERDICT_FMR, a
    normal distribution goes on; its mean and spread are taken at the lower ends of their confidence bounds and no value
    is above the highest that was seen. An error in it calls more faces matched, not fewer, unless strangers are more
    alike than a normal distribution has it and the few that were seen show.

    Raises:
        SettingsInvalid: fewer than FEWEST_PAIRS, or not finite.
    """
    scores = np.sort(np.asarray(similarities, np.float64))
    if len(scores) < FEWEST_PAIRS or not np.isfinite(scores).all():
        raise SettingsInvalid(f"{len(scores)} pairs of strangers; at least {FEWEST_PAIRS} finite ones are needed (8 "
                              "people with all their pairs). Nothing was calibrated.")
    rates = [rate for rate in RATES if rate * len(scores) >= PAIRS_BEYOND]
    # The smallest score that at most `rate` of the pairs reach: a tie counts as a match
    at = [float(scores[len(scores) - int(rate * len(scores)) - 1]) + 1e-6 for rate in rates]
    if rates and rates[-1] <= VERDICT_FMR:
        return rates, at, "measured"
    normal, count = NormalDist(), len(scores)
    sure = normal.inv_cdf(_CONFIDENCE)
    # Wilson and Hilferty's approximation of the chi-squared quantile, which bounds the variance from below
    chi = (count - 1) * (1 - 2 / (9 * (count - 1)) + sure * np.sqrt(2 / (9 * (count - 1)))) ** 3
    spread = float(scores.std(ddof=1) * np.sqrt((count - 1) / chi))
    centre = float(scores.mean() - sure * scores.std(ddof=1) / np.sqrt(count))
    for rate in (rate for rate in RATES if VERDICT_FMR <= rate and rate not in rates):
        fitted = min(centre + normal.inv_cdf(1 - rate) * spread, float(scores[-1]))
        rates.append(rate)
        at.append(max(fitted, at[-1] + 1e-6) if at else fitted)
    return rates, at, "fitted"


@cache
def _shipped() -> tuple[Curve, ...]:
    folder = resources.files("cloak") / "calibration"
    return tuple(_read(p.read_text("utf-8"), p.name) for p in sorted(folder.iterdir(), key=lambda p: p.name)
                 if p.name.endswith(".json"))


def _read(text: str, named: str) -> Curve:
    """Raises WeightsCorrupt for anything that is no curve through VERDICT_FMR."""
    try:
        fields = json.loads(text)
        tuples = {key: tuple(fields.get(key, ())) for key in ("fmr", "similarity", "same_network")}
        curve = Curve(**{**fields, **tuples})
        fmr, similarity = np.array(curve.fmr, float), np.array(curve.similarity, float)
        sound = (len(fmr) == len(similarity) >= 2 and (np.diff(fmr) < 0).all() and (np.diff(similarity) > 0).all()
                 and 0 < fmr[-1] <= VERDICT_FMR <= fmr[0] <= 1 and np.abs(similarity).max() <= 1 + 1e-3)
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsCorrupt(f"{named}: no calibration ({error}). Nothing was judged.") from error
    if not sound:
        raise WeightsCorrupt(f"{named}: a calibration must fall in FMR as it rises in similarity, through FMR "
                             f"{VERDICT_FMR}. Nothing was judged.")
    return curve


def _is_same(fed: dict[str, Any] | None, recipe: Recipe | None) -> bool:
    """Whether a network was fed then what it is fed now; mean and scale to a thousandth of a level."""
    if fed is None or recipe is None:
        return fed is None and recipe is None
    now = {**dataclasses.asdict(recipe), "size_px": crops.crop(recipe.crop, recipe.size_px).size_px}
    fed = {**fed, "size_px": crops.crop(str(fed.get("crop")), fed.get("size_px")).size_px}
    words = [key for key in now if key not in ("mean", "scale")]
    return set(fed) == set(now) and all(fed[key] == now[key] for key in words) and all(
        np.allclose(fed[key], now[key], rtol=0, atol=1e-3) for key in ("mean", "scale"))
