"""Which tracks show the person of some reference photos. Face recognition, on this machine, only where a user asks.

Whoever is wrongly taken for the person is published uncovered. So every recogniser has to agree, at a stricter rate
than elsewhere, in most of several sights of a track, and nobody is the person in two places at once: in doubt all are
hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cloak import calibration, networks, references
from cloak.settings import Settings
from cloak.types import Faces
from cloak.video.glimpses import best, glimpses
from cloak.video.types import Clip, Plan, Spot, Track

# One stranger in so many would pass a single look of a single recogniser, where its curve goes that far
STRICT_FMR = 1e-4
# Looks at a track, spread over it; faces smaller than this say nothing
_LOOKS, _LEAST_PX = 7, 40
# How many looks there must be, and the share of them in which it must be the person
_LEAST_LOOKS, _LEAST_SHARE = 3, 0.7


def tracks_of(photos: Sequence[Path], clip: Clip, plan: Plan, *, device: str = "auto") -> tuple[int, ...]:
    """Numbers of the tracks that show the person of the photos, as far as that can be said with confidence.

    Raises:
        CloakError: a photo cannot be read, or does not show exactly one face, or they show different people.
    """
    settings = Settings(device=device)  # type: ignore[arg-type]  # Settings checks the word
    nets = networks.load(settings).with_no_judge()
    person = references.read(photos, nets, settings)
    able = [surrogate for surrogate in nets.surrogates if calibration.find(surrogate.name) is not None]
    wanted: dict[int, list[tuple[int, Spot]]] = {}
    for index, track in enumerate(plan.tracks):
        for spot in best(track, _LOOKS):
            if spot.landmarks is not None and spot.box[3] - spot.box[1] >= _LEAST_PX:
                wanted.setdefault(spot.frame, []).append((index, spot))
    votes: dict[int, list[bool]] = {}
    for glimpse in glimpses(clip, wanted):
        looked_at = wanted[glimpse.number]
        faces = Faces(np.array([spot.box for _, spot in looked_at], np.float32),
                      np.array([spot.landmarks for _, spot in looked_at], np.float32),
                      np.array([spot.score for _, spot in looked_at], np.float32))
        agreed = np.ones(len(looked_at), np.bool_)
        for surrogate in able:
            known = person.embeddings[surrogate.name]
            agreed &= is_person(nets.embed(surrogate, glimpse.pixels, faces), known, strict_threshold(surrogate.name))
        for (index, _), is_one in zip(looked_at, agreed.tolist()):
            votes.setdefault(index, []).append(is_one)
    return decide(plan.tracks, votes)


def is_person(embedded: Tensor, known: Tensor, threshold: float) -> NDArray[np.bool_]:
    """(N,) bool: which of the unit embeddings (N, D) are alike the mean of the known ones (R, D)."""
    alike = embedded @ F.normalize(known.mean(0), dim=0) >= threshold
    return np.asarray(alike.cpu().numpy(), np.bool_)


def strict_threshold(recogniser: str) -> float:
    """The similarity at STRICT_FMR, or as close to it as the recogniser's curve goes."""
    curve = calibration.curve(recogniser)
    return curve.threshold(max(STRICT_FMR, curve.fmr[-1]))


def decide(tracks: Sequence[Track], votes: dict[int, list[bool]]) -> tuple[int, ...]:
    """Numbers of the tracks that most looks agree on, without those that are there at the same time as another."""
    chosen = [track for index, track in enumerate(tracks) if len(found := votes.get(index, [])) >= _LEAST_LOOKS
              and sum(found) >= _LEAST_SHARE * len(found)]
    return tuple(one.number for one in chosen if not any(
        other is not one and other.spots[0].frame <= one.spots[-1].frame and one.spots[0].frame <= other.spots[-1].frame
        for other in chosen))
