"""Which faces of neighbouring frames are one person: overlap of boxes, and nothing else.

A searcher averages the templates of a track, so a track must not mix two people; that it may break in two costs him
little. On crowd-street at every second frame see `purity` in results/video-search.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.faces import Faces, overlaps

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2, pixels
Templates = dict[str, NDArray[np.float32]]  # (1, D) by matcher

# Boxes are compared at twice their size, because with a shaking camera faces jump by their own width. Of the detections
# on crowd-street and crowd-hard 97 to 99 % then lie in a track of their own person, at every frame and at every second
# one; compared at their own size there are twice as many tracks.
GROWN = 2.0
MIN_IOU = 0.4
# A face that was not seen for so long may come back as the same track.
MAX_GAP_S = 0.4
# A track is cut after so many sightings, and goes on as another: what is held in memory stays bounded.
MAX_SIGHTINGS = 250


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one frame."""

    frame: int
    seconds: float
    box: Box
    score: float  # detector confidence in [0, 1]
    templates: Templates


@dataclass(slots=True)
class Track:
    """Sightings of one face, in the order of time."""

    sightings: list[Sighting] = field(default_factory=list)

    def expected(self, seconds: float) -> Box:
        """(4,): where the face should be, as far as its last two sightings tell."""
        last = self.sightings[-1]
        if len(self.sightings) == 1:
            return last.box
        before = self.sightings[-2]
        elapsed = last.seconds - before.seconds
        if elapsed <= 0:
            return last.box
        # Only the place moves on: the size of a box jitters more than it changes.
        shift = (_centre(last.box) - _centre(before.box)) * (seconds - last.seconds) / elapsed
        return np.asarray(last.box + np.tile(shift, 2), np.float32)


def link(frames: Iterable[tuple[int, float, bool, Faces, list[Templates]]]) -> Iterator[Track]:
    """Tracks as they end.

    Args:
        frames: number, seconds, whether a cut came before, the faces, and the templates of each, in order.
    """
    going: list[Track] = []
    for number, seconds, after_cut, faces, templates in frames:
        ended = [
            track for track in going if after_cut or seconds - track.sightings[-1].seconds > MAX_GAP_S
        ]
        yield from ended
        going = [track for track in going if not any(track is one for one in ended)]
        taken = _pairs([track.expected(seconds) for track in going], faces.boxes)
        for face in range(len(faces)):
            sighting = Sighting(number, seconds, faces.boxes[face], float(faces.scores[face]), templates[face])
            if face in taken:
                going[taken[face]].sightings.append(sighting)
            else:
                going.append(Track([sighting]))
        for track in [track for track in going if len(track.sightings) >= MAX_SIGHTINGS]:
            yield track
            going = [other for other in going if other is not track]
    yield from going


def _pairs(expected: list[Box], boxes: NDArray[np.float32]) -> dict[int, int]:
    """Track of each face that has one: the best overlap first, each track and each face once."""
    if not expected or not len(boxes):
        return {}
    alike = np.stack([overlaps(_grown(boxes), _grown(box)) for box in expected])
    taken: dict[int, int] = {}
    while alike.max() > MIN_IOU:
        track, face = np.unravel_index(int(alike.argmax()), alike.shape)
        taken[int(face)] = int(track)
        alike[track], alike[:, face] = -1, -1
    return taken


def _centre(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2, np.float32)


def _grown(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    centres, half = _centre(boxes), (boxes[..., 2:] - boxes[..., :2]) / 2 * GROWN
    return np.concatenate([centres - half, centres + half], axis=-1).astype(np.float32)
