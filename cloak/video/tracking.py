"""Makes tracks of what the detection pass saw: pure, no picture needed.

Every track is gapless and stays within its shot. People go straight on, whatever the camera does. Recall comes first:
short tracks are kept, gaps are filled, and each end is extended, for a face that a detector sees now was there a moment
before and will be there a moment after.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cloak.video.camera import Camera
from cloak.video.looking import Look, Place, Sighting, apart, rounded
from cloak.video.spots import Spots
from cloak.video.types import Box, Spot, Track

# A track is begun by one sighting of this score, or by weaker ones with this sum
START_SCORE, START_SUM = 0.4, 0.6
# Frames over which a hidden face is taken for the same when it comes out where it was heading
_LONGEST_GAP = 30
# How far from each other the ends may meet, of the face's height: at once, and more with each frame between
_MEETING, _MEETING_PER_FRAME = 0.6, 0.02
_SIZES = 1.6
# Further apart than so many times what is allowed, two need no closer look
_FAR = 3.0
# Frames by which a track is extended where it begins or ends for no reason; to the picture's edge where that is near
_EXTENSION, _EXTENSION_TO_EDGE = 8, 15
# Frames beyond the first and the last sighting in which a face that was only followed is believed: pixels alone take
# a wall for a face as well
_FOLLOWED_BEYOND = 8
# Frames before and after, of which the median of the sizes is the least. Two fifths of the face-frames of two
# generated clips that were not covered whole had a box that was too small for a frame or two
_STEADY = 5
_GROWTH = 0.02  # of its size, per extended frame
_SPEED_FRAMES = 6  # over which the speed at an end is taken


@dataclass(slots=True, eq=False)
class _Chain:
    """One face as far as the looks link it: a gapless run of spots, and the frames that its shot spans."""

    spots: Spots
    shot: tuple[int, int]
    camera: Camera
    _speeds: dict[bool, NDArray[np.float64]] = field(default_factory=dict)

    def speed(self, *, at_start: bool) -> NDArray[np.float64]:
        """Pixels per frame beside the camera's, forwards in time, as seen in the frame at one end. Once all spots are
        there.
        """
        if at_start not in self._speeds:
            self._speeds[at_start] = _speed(self.spots, self.camera, at_start=at_start)
        return self._speeds[at_start]

    @property
    def first(self) -> int:
        return self.spots.frames[0]

    @property
    def last(self) -> int:
        return self.spots.frames[-1]

    @property
    def first_seen(self) -> Spot:
        return next(spot for spot in self.spots if spot.source == "seen")

    @property
    def last_seen(self) -> Spot:
        return next(spot for spot in reversed(self.spots) if spot.source == "seen")

    @property
    def seen(self) -> list[Spot]:
        return [spot for spot in self.spots if spot.source == "seen"]


def cuts(looks: Iterable[Look]) -> tuple[int, ...]:
    """Frames that begin a new shot, the first not among them."""
    return tuple(one.frame for one in itertools.islice(looks, 1, None) if one.begins_shot)


def tracks(looks: Iterable[Look], size: tuple[int, int], frames: int) -> tuple[Track, ...]:
    """All faces of a clip of `frames` frames of `size` (width, height), numbered as `Track` says.

    `looks` are gone through several times.
    """
    chains = [chain for chain in _merged(_linked(looks, frames)) if _is_believed(chain)]
    for chain in chains:
        chain.spots = _steadied(chain.spots)
    made = [_extended(chain, size) for chain in chains]
    made.sort(key=lambda track: (track.spots[0].frame, track.spots[0].box))
    return tuple(replace(track, number=number) for number, track in enumerate(made, 1))


def _linked(looks: Iterable[Look], frames: int) -> list[_Chain]:
    """Chains of sightings, as the looks link them."""
    camera, starts = Camera(), []
    for one in looks:
        for frame, move in enumerate(one.moves, one.frame - len(one.moves) + 1):
            camera.add(frame, move)
        if one.begins_shot:
            starts.append(one.frame)
    shots = zip(starts, [start - 1 for start in [*starts[1:], frames]])
    chains: list[_Chain] = []
    before: list[_Chain] = []
    shot = (0, frames - 1)
    for one in looks:
        if one.begins_shot:
            before = []
            shot = next(shots)
        for index, path in one.ended:
            before[index].spots.extend(map(_spot, path))
        here = []
        for sighting in one.sightings:
            if sighting.before is None:
                chain = _Chain(Spots(), shot, camera)
                chains.append(chain)
            else:
                chain = before[sighting.before]
            chain.spots.extend(map(_spot, sighting.path))
            chain.spots.append(_seen(one.frame, sighting))
            here.append(chain)
        before = here
    for chain in chains:
        first, last = chain.first_seen.frame - _FOLLOWED_BEYOND, chain.last_seen.frame + _FOLLOWED_BEYOND
        chain.spots = Spots(spot for spot in chain.spots if first <= spot.frame <= last)
    return chains


def _spot(place: Place) -> Spot:
    return Spot(place.frame, place.box, 0.0, "followed" if place.alike > 0 else "filled")


def _seen(frame: int, sighting: Sighting) -> Spot:
    if sighting.unseen:
        return Spot(frame, sighting.box, 0.0, "followed")
    return Spot(frame, sighting.box, sighting.score, "seen", sighting.landmarks)


def _is_believed(chain: _Chain) -> bool:
    seen = chain.seen
    return sum(spot.score for spot in seen) >= START_SUM or max(spot.score for spot in seen) >= START_SCORE


def _merged(chains: Sequence[_Chain]) -> list[_Chain]:
    """Chains of one face that was hidden for a while made one, nearest first.

    Only chains that end and begin near each other in time are compared, and only once: hours take as long as their
    minutes one by one.
    """
    known = dict(enumerate(chains))
    ending, starting = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
    costs: dict[tuple[int, int], float] = {}
    new = list(known)
    count = len(known)
    while new:
        for i in new:
            begin, end = _seen_ends(known[i])
            starting[begin.frame].add(i)
            ending[end.frame].add(i)
        fresh = set(new)
        for i in new:
            first, last = (spot.frame for spot in _seen_ends(known[i]))
            for gap in range(1, _LONGEST_GAP + 1):
                # Pairs of two new ones come up from both sides, and count from the first. They are not collected: of a
                # clip that cuts all the time they would fill gigabytes
                after = [(i, j) for j in starting.get(last + gap, ())]
                before = [(j, i) for j in ending.get(first - gap, ()) if j not in fresh]
                for pair in after + before:
                    if (cost := _gap(known[pair[0]], known[pair[1]])) is not None:
                        costs[pair] = cost
        taken: set[int] = set()
        grown: list[_Chain] = []
        for _, i, j in sorted((cost, i, j) for (i, j), cost in costs.items()):
            if i not in taken and j not in taken:
                taken |= {i, j}
                grown.append(_bridged(known[i], known[j]))
        costs = {pair: cost for pair, cost in costs.items() if taken.isdisjoint(pair)}
        for i in taken:
            begin, end = _seen_ends(known[i])
            starting[begin.frame].remove(i)
            ending[end.frame].remove(i)
            del known[i]
        new = list(range(count, count + len(grown)))
        known.update(zip(new, grown))
        count += len(grown)
    _at.cache_clear()
    _seen_ends.cache_clear()
    return list(known.values())


def _gap(a: _Chain, b: _Chain) -> float | None:
    """How badly `b` continues `a`: how far apart they are where they come closest, or None."""
    if a is b or a.shot != b.shot:
        return None
    end, start = _seen_ends(a)[1], _seen_ends(b)[0]
    if not 0 < start.frame - end.frame <= _LONGEST_GAP:
        return None
    heights = end.box[3] - end.box[1], start.box[3] - start.box[1]
    if not 1 / _SIZES <= heights[0] / heights[1] <= _SIZES:
        return None
    low = max(min(a.last, b.first), end.frame)
    high = min(max(a.last, b.first), start.frame)
    if low > high:
        return None
    allowed = _MEETING + _MEETING_PER_FRAME * max(0, b.first - a.last)
    if b.first > a.last and _passing(a, b, low, high) > _FAR * allowed:
        return None
    away = min(apart(_at(a, frame), _at(b, frame)) for frame in range(low, high + 1))
    return away / allowed if away < allowed else None


def _passing(a: _Chain, b: _Chain, low: int, high: int) -> float:
    """About how far apart two are where they come closest between two frames, in heights: both head straight on there,
    so their places at the ends tell it.
    """
    ends = [(_at(a, frame), _at(b, frame)) for frame in (low, high)]
    (x, y), (to_x, to_y) = (((p[0] + p[2] - q[0] - q[2]) / 2, (p[1] + p[3] - q[1] - q[3]) / 2) for p, q in ends)
    dx, dy = to_x - x, to_y - y
    share = min(max(-(x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0.0), 1.0)
    height = sum(box[3] - box[1] for box in ends[0]) / 2
    return math.hypot(x + share * dx, y + share * dy) / max(height, 1e-6)


@lru_cache(maxsize=1 << 14)
def _seen_ends(chain: _Chain) -> tuple[Spot, Spot]:
    """First and last sighting, while chains are compared and stay as they are."""
    return chain.first_seen, chain.last_seen


@lru_cache(maxsize=1 << 14)  # a chain is compared with some thirty others, in the same frames
def _at(chain: _Chain, frame: int) -> Box:
    """Where it is, or was heading."""
    if chain.first <= frame <= chain.last:
        return chain.spots[frame - chain.first].box
    end = chain.spots[0] if frame < chain.first else chain.spots[-1]
    middle = _heading(chain, end, frame)
    half_x, half_y = (end.box[2] - end.box[0]) / 2, (end.box[3] - end.box[1]) / 2
    return (middle[0] - half_x, middle[1] - half_y, middle[0] + half_x, middle[1] + half_y)


def _heading(chain: _Chain, end: Spot, frame: int) -> NDArray[np.float64]:
    """(2,): where the middle of the face is in a frame beyond one end of its track, straight on beside the camera."""
    dx, dy = chain.speed(at_start=frame < end.frame) * (frame - end.frame)
    x1, y1, x2, y2 = end.box
    return chain.camera.centre((x1 + dx, y1 + dy, x2 + dx, y2 + dy), end.frame, frame)


def _speed(spots: Sequence[Spot], camera: Camera, *, at_start: bool) -> NDArray[np.float64]:
    part = spots[: _SPEED_FRAMES + 1] if at_start else spots[-_SPEED_FRAMES - 1 :]
    if len(part) < 2:
        return np.zeros(2)
    end = part[0 if at_start else -1].frame
    first, last = (camera.centre(spot.box, spot.frame, end) for spot in (part[0], part[-1]))
    speed: NDArray[np.float64] = (last - first) / (part[-1].frame - part[0].frame)
    return speed


def _bridged(a: _Chain, b: _Chain) -> _Chain:
    """`a` up to where they meet, then `b`; between them straight on."""
    if b.first <= a.last:
        end, start = a.last_seen.frame, b.first_seen.frame
        shared = [frame for frame in range(max(b.first, end), min(a.last, start) + 1)]
        meet = min(shared, key=lambda frame: apart(_at(a, frame), _at(b, frame)))
        return _Chain(Spots(s for c in (a, b) for s in c.spots if (s.frame < meet) == (c is a)), a.shot, a.camera)
    gap = b.first - a.last
    ends = a.spots[-1].box, b.spots[0].box
    between = []
    for n in range(1, gap):
        share, frame = n / gap, a.last + n
        middle = ((1 - share) * a.camera.centre(ends[0], a.last, frame)
                  + share * a.camera.centre(ends[1], b.first, frame))
        half = ((1 - share) * _sides(ends[0]) + share * _sides(ends[1])) / 2
        between.append(Spot(frame, rounded([*(middle - half), *(middle + half)]), 0.0, "filled"))
    return _Chain(Spots((*a.spots, *between, *b.spots)), a.shot, a.camera)


def _steadied(spots: Spots) -> Spots:
    """No box narrower or lower than is usual around it: a face does not shrink for a moment, but a detector errs."""
    boxes = np.array([spot.box for spot in spots])
    sides = boxes[:, 2:] - boxes[:, :2]
    padded = np.pad(sides, ((_STEADY, _STEADY), (0, 0)), mode="edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _STEADY + 1, axis=0), axis=-1)
    more = np.maximum(usual - sides, 0) / 2
    steady = np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1)
    return Spots(replace(spot, box=rounded(box)) if larger else spot
                 for spot, box, larger in zip(spots, steady, more.any(axis=1)))


def _extended(chain: _Chain, size: tuple[int, int]) -> Track:
    """Both ends prolonged within the shot, straight on and growing."""
    seen = chain.seen
    spots = list(chain.spots)
    is_lost = False
    for at_start in (True, False):
        end = spots[0] if at_start else spots[-1]
        room = end.frame - chain.shot[0] if at_start else chain.shot[1] - end.frame
        beyond = seen[0].frame - end.frame if at_start else end.frame - seen[-1].frame
        step = -1 if at_start else 1
        half = _sides(end.box) / 2
        middles = [_heading(chain, end, end.frame + step * n) for n in range(1, min(room, _EXTENSION_TO_EDGE) + 1)]
        leaves = next((n for n, middle in enumerate(middles, 1) if _is_outside(middle, half, size)), None)
        is_lost |= room > 0 and leaves is None
        more = []
        for n, middle in enumerate(middles[: leaves or max(0, _EXTENSION - beyond)], 1):
            reach = half * (1 + _GROWTH * n)
            more.append(Spot(end.frame + step * n, rounded([*(middle - reach), *(middle + reach)]), 0.0, "extended"))
        spots = more[::-1] + spots if at_start else spots + more
    return Track(0, Spots(spots), is_lost)


def _is_outside(centre: NDArray[np.float64], half: NDArray[np.float64], size: tuple[int, int]) -> bool:
    return bool((centre + half <= 0).any() or (centre - half >= size).any())


def _sides(box: Box) -> NDArray[np.float64]:
    return np.array([box[2] - box[0], box[3] - box[1]])
