"""From a similarity to the false match rate at which it would still be called a match.

Each recogniser's curve lies in `calibration/<name>.json`, made from real impostor pairs by
`scripts/calibrate.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

# The operating point of the verdict: one stranger in a thousand would be accepted too.
VERDICT_FMR = 1e-3


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

    def threshold(self, fmr: float) -> float:
        """The similarity that this share of impostor pairs reaches. `fmr` within the curve."""
        if not self.fmr[-1] <= fmr <= self.fmr[0]:
            raise ValueError(f"{self.recogniser}: FMR {fmr} is outside the calibrated {self.fmr[-1]} to {self.fmr[0]}")
        return float(np.interp(-np.log10(fmr), -np.log10(self.fmr), self.similarity))

    def fmr_at(self, similarity: float) -> float:
        """The operating point at which this similarity is only just a match, held within the curve's ends."""
        return float(10 ** -np.interp(similarity, self.similarity, -np.log10(self.fmr)))


@cache
def curve(recogniser: str) -> Curve:
    """The shipped curve of a recogniser."""
    fields = json.loads((resources.files("cloak") / "calibration" / f"{recogniser}.json").read_text("utf-8"))
    return Curve(**{**fields, "fmr": tuple(fields["fmr"]), "similarity": tuple(fields["similarity"])})
