"""The detection pass: looks at every few frames of a clip, and follows the faces by their pixels in between.

We have the future. What was seen at one look is followed forwards to the next, what is seen there is followed
backwards to the one before, and the two paths are joined where they meet. A face that is first seen at a look is
followed back through the frames that are still in memory, one that is no longer seen is followed on. What comes of it
is one `Look` per looked-at frame; `tracking` makes tracks of them, without a picture.

Memory does not grow with the clip: the grey pictures of `_BACK` frames at most are kept.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.types import Faces, Pixels
from cloak.video import camera
from cloak.video.camera import Camera, Move
from cloak.video.following import Step, follow
from cloak.video.tones import shown
from cloak.video.types import Box, Frame

Find = Callable[[Pixels], Faces]
Points = tuple[tuple[float, float], ...]

# Every frame is looked at. People who walk past each other and behind poles are seen for 3 to 6 frames at a time, and
# people in the dark move by their own size from one frame to the next. With the taught network alone .967 of the
# face-frames of a generated clip of such a crowd are covered so, and .943 where every second frame is looked at; of one
# of a street .994 and .993
EVERY = 1
# Longest side of the picture that the detector gets. Of the faces in a dark, noisy clip with much motion blur it finds
# more at half size (.86 of 190) than in full (.81), at a quarter of the cost
LONGEST_PX = 960
# Whole pictures looked at at a time, and frames read ahead for that
_AT_ONCE, _AHEAD = 2, 6
# Frames kept, through which a newly seen face is followed back
_BACK = 25
# Pictures wider or higher than this are halved for following, until they are not
_FOLLOWED_SIDE_PX = 2000
# Frames for which a face is followed although no detector sees it any more
_MAX_UNSEEN = 16
# How far apart two paths of one face may be where they are closest, of the face's height; and how unlike its sizes
_MEETING, _SIZES = 0.5, 1.5
_HEADING = 0.35  # and from where it was heading
_INERTIA = 0.3
# What a face needs to be believed that continues none. At 0.35, and 0.25 where it goes on, no more of two generated
# clips in the dark is covered: .965 of the face-frames as well
_ALONE = 0.4
# Correlation of neighbouring frames' thumbnails, below which a new shot begins
_SAME_SHOT = 0.5
_THUMBNAIL = (64, 36)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face was followed to in one frame; `alike` is 0 where it was only expected."""

    frame: int
    box: Box
    alike: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face at one look."""

    box: Box
    score: float  # the detector's; 0 where it was followed here and not seen
    landmarks: Points | None = None
    before: int | None = None  # which sighting of the look before is the same face
    path: tuple[Place, ...] = ()  # from there to here, both ends left out; of a new face as far back as it was followed
    unseen: int = 0  # frames since a detector saw it
    velocity: tuple[float, float] | None = None  # pixels per frame beside the camera's; None: never followed


@dataclass(frozen=True, slots=True)
class Look:
    """One looked-at frame, and what became of the faces of the look before."""

    frame: int
    begins_shot: bool
    sightings: tuple[Sighting, ...]
    ended: tuple[tuple[int, tuple[Place, ...]], ...] = ()  # of the look before: which, and its path beyond that look
    moves: tuple[Move, ...] = ()  # the camera's motion into each frame after the look before, to this one


def look(frames: Iterable[Frame], find: Find | Sequence[Find], *, stride: int = EVERY, longest_px: int = LONGEST_PX,
         last: Look | None = None) -> Iterator[Look]:
    """Look at the first frame, the last, those on both sides of a cut, and every `stride`-th between.

    Which these are is known without looking, so that the detector works a few frames ahead, on several at once. What
    comes of it is the same as one after the other.

    Args:
        frames: of one clip, in order; from `resume_at(last)` on when `last` is given.
        find: the detector with its lower threshold, or several that take turns; called from several threads at once.
        longest_px: longest side of the pictures it gets.
        last: the last look of a pass that was interrupted; it goes on as if it had not been.
    """
    eye = _Eye((find,) if callable(find) else find, stride, longest_px)
    pool = ThreadPoolExecutor(_AT_ONCE, "look")
    try:
        for turn in _announced(_turns(frames, eye, stride, last), eye, pool):
            eye.keep(turn.number, turn.luma, begins_shot=turn.begins_shot)
            if turn.frame is None:
                continue
            if last is None or turn.begins_shot:
                last = Look(turn.number, True, eye.find_all(turn.frame))
            else:
                last = eye.look_on(turn.frame, last)
            yield last
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One frame, and what is to become of it, which does not depend on what is seen."""

    number: int
    luma: NDArray[np.uint8]
    begins_shot: bool
    frame: Frame | None  # where it is looked at


def _turns(frames: Iterable[Frame], eye: _Eye, stride: int, last: Look | None) -> Iterator[_Turn]:
    """Which frames are looked at. One frame behind, because the last one of a shot is."""
    looked_at = -1 if last is None else last.frame
    known = looked_at  # read again after an interruption
    before: tuple[Frame, _Turn] | None = None
    thumbnail: NDArray[np.float32] | None = None
    for frame in frames:
        luma = eye.luma(frame)
        previous, thumbnail = thumbnail, _thumbnail(luma)
        is_cut = previous is not None and _likeness(previous, thumbnail) < _SAME_SHOT
        begins_shot = is_cut or (previous is None and last is None)
        if before is not None:
            yield _looked_at(*before) if is_cut and before[1].number > looked_at else before[1]
        is_turn = frame.number > known and (begins_shot or frame.number - looked_at >= stride)
        looked_at = frame.number if is_turn else looked_at
        before = frame, _Turn(frame.number, luma, begins_shot, frame if is_turn else None)
    if before is not None:
        yield _looked_at(*before) if before[1].number > looked_at else before[1]


def _announced(turns: Iterable[_Turn], eye: _Eye, pool: Executor) -> Iterator[_Turn]:
    """The same, `_AHEAD` frames after the detector was given them."""
    waiting: deque[_Turn] = deque()
    before: NDArray[np.uint8] | None = None
    for turn in turns:
        small = camera.small(turn.luma)
        if before is not None and not turn.begins_shot:
            eye.move_ahead(turn.number, before, small, turn.luma.shape[1], pool)
        before = small
        if turn.frame is not None:
            eye.look_ahead(turn.frame, pool)
        waiting.append(turn)
        if len(waiting) > _AHEAD:
            yield waiting.popleft()
    yield from waiting


def _looked_at(frame: Frame, turn: _Turn) -> _Turn:
    return replace(turn, frame=frame)


def resume_at(last: Look) -> int:
    """The frame from which `look` must read again to go on after `last`."""
    return max(0, last.frame - _BACK)


class _Eye:
    """Looks at frames, and remembers the grey pictures of the last ones of the shot."""

    def __init__(self, finds: Sequence[Find], stride: int, longest_px: int) -> None:
        self._finds, self._stride, self._longest_px = finds, stride, longest_px
        self._kept: deque[tuple[int, NDArray[np.uint8]]] = deque(maxlen=_BACK + 1)
        self._reduction = 1
        self._camera = Camera()
        self._moves: dict[int, Future[Move]] = {}
        self._ahead: dict[int, Future[tuple[Sighting, ...]]] = {}

    def luma(self, frame: Frame) -> NDArray[np.uint8]:
        """(H, W) u8 for following, a copy."""
        plane = frame.planes[0]
        while max(plane.shape) / self._reduction > _FOLLOWED_SIDE_PX:
            self._reduction *= 2
        return np.array(_eight_bits(_resized(plane, 1 / self._reduction)))

    def keep(self, number: int, luma: NDArray[np.uint8], *, begins_shot: bool = False) -> None:
        if begins_shot:
            self._kept.clear()
        if (move := self._moves.pop(number, None)) is not None:
            self._camera.add(number, move.result())
        self._kept.append((number, luma))
        self._camera.forget(self._kept[0][0])

    def move_ahead(self, number: int, before: NDArray[np.uint8], after: NDArray[np.uint8], width: int,
                   pool: Executor) -> None:
        """Have the camera's motion into a frame found, from small pictures of lumas that are `width` wide."""
        self._moves[number] = pool.submit(camera.motion, before, after, width * self._reduction)

    def look_ahead(self, frame: Frame, pool: Executor) -> None:
        """Have the detector look at a frame that `find_all` will be asked about."""
        self._ahead[frame.number] = pool.submit(self._find_all, frame)

    def find_all(self, frame: Frame) -> tuple[Sighting, ...]:
        """What the detector sees in the whole picture."""
        return self._ahead.pop(frame.number).result()

    def _find_all(self, frame: Frame) -> tuple[Sighting, ...]:
        scale = min(1.0, self._longest_px / max(frame.planes[0].shape))
        find = self._finds[frame.number // self._stride % len(self._finds)]
        faces = find(_picture(frame, scale))
        return tuple(_sighting(faces, n, scale) for n in range(len(faces)))

    def look_on(self, frame: Frame, last: Look) -> Look:
        """A look in the same shot as `last`."""
        found = list(self.find_all(frame))
        length = frame.number - last.frame
        olds = last.sightings
        carried = [_carried(old.box, self._camera.between(last.frame, frame.number)) for old in olds]
        pairs = _match_heading(olds, carried, found, length)
        lost = [i for i in range(len(olds)) if i not in pairs]
        new = [j for j in range(len(found)) if j not in pairs.values()]
        forwards = {i: self._follow(olds[i], last.frame, frame.number, olds[i].velocity) for i in lost}
        backwards = {j: self._follow(found[j], frame.number, last.frame) for j in new}
        pairs |= _match_paths(olds, found, forwards, backwards, length)

        linked = {j: i for i, j in pairs.items()}
        sightings = []
        for j, s in enumerate(found):
            if j in linked:
                old = olds[linked[j]]
                path = _joined(old.box, s.box, forwards.get(linked[j], ()), backwards.get(j, ()), last.frame, length,
                               self._camera)
                sightings.append(replace(s, before=linked[j], path=path,
                                         velocity=_velocity(carried[linked[j]], s.box, length, old.velocity)))
                continue
            if s.score < _ALONE:
                continue
            back = self._follow(s, frame.number, self._kept[0][0])
            path = tuple(_place(frame.number - n - 1, step) for n, step in enumerate(_believed(back)))[::-1]
            near = path[-min(3, len(path))] if path else None
            velocity = None if near is None else _velocity(
                _carried(near.box, self._camera.between(near.frame, frame.number)), s.box, frame.number - near.frame)
            sightings.append(replace(s, path=path, velocity=velocity))
        ended = []
        for i in lost:
            if i in pairs:
                continue
            places = tuple(_place(last.frame + n + 1, step) for n, step in enumerate(_believed(forwards[i])))
            unseen = olds[i].unseen + length
            if len(places) == length and unseen <= _MAX_UNSEEN and not any(
                    _overlap(places[-1].box, other.box) > 0.5 for other in sightings):
                velocity = _velocity(carried[i], places[-1].box, length, olds[i].velocity)
                sightings.append(Sighting(places[-1].box, 0.0, None, i, places[:-1], unseen, velocity))
            else:
                ended.append((i, places))
        return Look(frame.number, False, tuple(sightings), tuple(ended),
                    self._camera.steps(range(last.frame + 1, frame.number + 1)))

    def _follow(self, s: Sighting, start: int, end: int, velocity: tuple[float, float] | None = None) -> list[Step]:
        """By its pixels from frame `start`, where it was sighted, to `end`, which may come before."""
        first = self._kept[0][0]
        numbers = range(start, end + 1) if end >= start else range(start, end - 1, -1)
        lumas = [self._kept[number - first][1] for number in numbers]
        shrink = 1 / self._reduction
        if velocity is not None:
            velocity = (velocity[0] * shrink, velocity[1] * shrink)
        moves = [self._camera.between(one, then) * (1, 1, shrink) for one, then in zip(numbers, numbers[1:])]
        steps = follow(lumas, _scaled(s.box, shrink), velocity, moves)
        return steps if shrink == 1 else [Step(_scaled(step.box, self._reduction), step.alike) for step in steps]


def _sighting(faces: Faces, n: int, scale: float) -> Sighting:
    """The n-th face that was found in a picture scaled by `scale`."""
    points = (faces.landmarks[n] + 0.5) / scale - 0.5  # they count from pixel centres
    return Sighting(rounded(faces.boxes[n] / scale), round(float(faces.scores[n]), 3),
                    tuple((round(float(px), 1), round(float(py), 1)) for px, py in points))


def _match_heading(olds: Sequence[Sighting], carried: Sequence[Box], news: Sequence[Sighting],
                   length: int) -> dict[int, int]:
    """Which old sighting is which new one, by where the old ones were heading; nearest first."""
    costs = []
    for i, (old, box) in enumerate(zip(olds, carried)):
        if old.velocity is None:
            continue
        dx, dy = old.velocity[0] * length, old.velocity[1] * length
        expected = (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)
        costs += [(apart(expected, new.box), i, j) for j, new in enumerate(news)
                  if _is_alike_size(old.box, new.box) and apart(expected, new.box) < _HEADING]
    return _nearest_first(costs)


def _match_paths(olds: Sequence[Sighting], news: Sequence[Sighting], forwards: Mapping[int, Sequence[Step]],
                 backwards: Mapping[int, Sequence[Step]], length: int) -> dict[int, int]:
    """Which old sighting is which new one, by how close their paths come."""
    costs = []
    for i, steps in forwards.items():
        ahead = [olds[i].box, *(step.box for step in steps)]
        for j, back in backwards.items():
            behind = [news[j].box, *(step.box for step in back)]
            # Frame m of the span is ahead[m] and behind[length - m]
            meeting = range(max(0, length - len(behind) + 1), min(len(ahead) - 1, length) + 1)
            away = min((apart(ahead[m], behind[length - m]) for m in meeting), default=np.inf)
            if away < _MEETING and _is_alike_size(olds[i].box, news[j].box):
                costs.append((float(away), i, j))
    return _nearest_first(costs)


def _nearest_first(costs: Sequence[tuple[float, int, int]]) -> dict[int, int]:
    pairs: dict[int, int] = {}
    for _, i, j in sorted(costs):
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def _is_alike_size(a: Box, b: Box) -> bool:
    return 1 / _SIZES <= (a[3] - a[1]) / max(1e-6, b[3] - b[1]) <= _SIZES


def _joined(old: Box, new: Box, ahead: Sequence[Step], behind: Sequence[Step], first: int, length: int,
            moved: Camera) -> tuple[Place, ...]:
    """One path from `old` to `new`: of what is known at each frame the mean, by how alike and how near it is."""
    places = []
    for m in range(1, length):
        share = m / length
        mean = np.array(old) * (1 - share) + np.array(new) * share
        half = (mean[2:] - mean[:2]) / 2  # sizes change evenly
        straight = (moved.centre(old, first, first + m) * (1 - share)
                    + moved.centre(new, first + length, first + m) * share)
        centres, weights, alike = [straight], [0.01], 0.0
        for steps, at, near in ((ahead, m - 1, 1 - share), (behind, length - m - 1, share)):
            if at < len(steps):
                box = steps[at].box
                centres.append(np.array([box[0] + box[2], box[1] + box[3]]) / 2)
                weights.append(near * max(steps[at].alike, 0.02))
                alike = max(alike, steps[at].alike)
        centre = np.average(centres, axis=0, weights=weights)
        places.append(Place(first + m, rounded([*(centre - half), *(centre + half)]), round(alike, 2)))
    return tuple(places)


def _believed(steps: Sequence[Step]) -> Sequence[Step]:
    """Without the blind steps at the end."""
    end = len(steps)
    while end and not steps[end - 1].alike:
        end -= 1
    return steps[:end]


def _place(frame: int, step: Step) -> Place:
    return Place(frame, rounded(step.box), round(step.alike, 2))


def _carried(box: Box, move: NDArray[np.float64]) -> Box:
    """Where a box is after the camera's motion, as large as it was."""
    x, y = move[:, :2] @ ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) + move[:, 2]
    half_x, half_y = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    return (float(x - half_x), float(y - half_y), float(x + half_x), float(y + half_y))


def _velocity(old: Box, new: Box, frames: int, before: tuple[float, float] | None = None) -> tuple[float, float]:
    """Pixels per frame from one box, carried along with the camera, to the next; evened out with what was `before`."""
    dx = (new[0] + new[2] - old[0] - old[2]) / 2 / frames
    dy = (new[1] + new[3] - old[1] - old[3]) / 2 / frames
    if before is not None:
        dx, dy = dx + _INERTIA * (before[0] - dx), dy + _INERTIA * (before[1] - dy)
    return (round(dx, 2), round(dy, 2))


def apart(a: Box, b: Box) -> float:
    """Between the centres, in heights of the mean box."""
    return math.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2) / max(
        1e-6, (a[3] - a[1] + b[3] - b[1]) / 2)


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    both = (max(0.0, min(a[2], b[2]) - max(a[0], b[0]))) * (max(0.0, min(a[3], b[3]) - max(a[1], b[1])))
    return both / max(1e-6, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _scaled(box: Box, factor: float) -> Box:
    return (box[0] * factor, box[1] * factor, box[2] * factor, box[3] * factor)


def rounded(box: Iterable[float]) -> Box:
    """To a tenth of a pixel."""
    x1, y1, x2, y2 = (round(float(v), 1) for v in box)
    return (x1, y1, x2, y2)


def _picture(frame: Frame, scale: float) -> Pixels:
    """RGB for the detector, made of the planes at its own size: several times faster than `to_rgb`.

    By the matrix of JPEG whatever the stream says, which a detector does not notice.
    """
    luma = _eight_bits(_resized(frame.planes[0], scale))
    if len(frame.planes) < 3:
        return shown(np.asarray(cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB), np.uint8), frame.tones)
    rows, columns = luma.shape
    blue, red = (_eight_bits(plane if plane.shape == luma.shape else
                             cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR))
                 for plane in frame.planes[1:3])
    return shown(np.asarray(cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2RGB), np.uint8), frame.tones)


def _resized(picture: NDArray[Any], scale: float) -> NDArray[Any]:
    if scale == 1:
        return picture
    rows, columns = (max(1, round(side * scale)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (columns, rows),
                                 interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))


def _eight_bits(plane: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(plane if plane.dtype == np.uint8 else plane >> 2, np.uint8)  # of 10


def _thumbnail(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(luma, _THUMBNAIL, interpolation=cv2.INTER_AREA), np.float32)


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of two thumbnails: the larger of their correlation as a whole and the median one of their sixteen parts.

    A flash of light or a fade changes neither much, a bus that drives by not the second, a quick pan not the first.
    """
    parts = [(a, b), *((a[y : y + 9, x : x + 16], b[y : y + 9, x : x + 16])
                       for y in range(0, 36, 9) for x in range(0, 64, 16))]
    whole, *rest = (_correlation(one, other) for one, other in parts)
    return max(whole, float(np.median(rest)))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(1e-6, float(np.sqrt((a * a).sum() * (b * b).sum()))))
