"""Which pixels of each frame are covered: heads, where the face is in neighbouring frames and between, and areas."""

from __future__ import annotations

import bisect
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak import masks
from cloak.masks import Patch
from cloak.video.look import Look
from cloak.video.spots import Spots
from cloak.video.types import Box, Plan, Spot

# A face is covered where it is in this many frames before and after too. On a generated street clip one and two frames
# cover the same 99.58 % of the faces, and change 3.2 and 3.5 times their area
NEIGHBOURS = 1
# The head of a photo is outlined around a box, that of a frame around so much of it: with its neighbours it covers
# what the whole box would. Another street clip at 1.00 and .93: 99.35 and 99.16 % of the faces, 3.2 and 2.9 times their
# area
_HEAD_SHARE = 0.96
# Detectors err by pixels, not by shares: half of what stayed free of a generated crowd in the dark was the rim of faces
# of 20 to 32 pixels. From the first height down, boxes are taken for larger, at the second by this share. Of the people
# of two generated clips .966 and .683 are never seen then, instead of .932 and .653, for a fiftieth more area
_SMALL_PX, _SMALLEST_PX, _SMALL_GROWTH = 40, 20, 0.3
# A face that moves by more than this share of its size between two frames is covered in between too, so that no strip
# stays free; of a jump at most so many positions
_SWEPT_SHARE, _MOST_BETWEEN = 0.2, 8
# Outlines are made for few sizes and poses and shared between frames and faces: sides are rounded up to steps of 1/24
# to 1/12 of them, rolls to 15 degrees, turns to a quarter of a profile
_STEPS_A_SIDE, _LEAST_STEP_PX = 24, 2
_ROLLS, _TURNS = 24, 4
_MOST_OUTLINES = 2048
_MOST_WAYS = 1024
# Where a track had no landmarks it has the pose between its neighbours', and further than so many frames from one none
_POSE_FRAMES = 12
# A lost face is taken for found where another track begins within this many sizes of where it was last, growing by so
# many a frame
_FOUND_SIZES, _FOUND_GROWTH = 1.0, 0.1
# Nearer to the edge than this share of its size, a face left the picture and is not lost
_EDGE_SHARE = 0.25

Window: TypeAlias = tuple[int, int, int, int]  # x1 y1 x2 y2, half-open, of whole pixels


@dataclass(frozen=True, slots=True)
class Cover:
    """What is covered in one frame for one track or area."""

    key: tuple[str, int]  # "track" and its number, or "area" and its place in the plan
    style: str
    patch: Patch  # may reach over the edges of the picture
    head: Window  # of the head, or the area, in this very frame


class Shapes:
    """The covers of a plan, frame by frame; forwards is fast, any other order works."""

    def __init__(self, plan: Plan, look: Look) -> None:
        self._plan, self._look = plan, look
        self._hidden = [track for track in plan.tracks if track.decision == "hide"]
        self._spots = [track.spots if isinstance(track.spots, Spots) else Spots(track.spots) for track in self._hidden]
        self._poses: dict[int, NDArray[np.int8]] = {}
        self._ways: OrderedDict[tuple[int, int], list[Window]] = OrderedDict()
        self._outlines: OrderedDict[tuple[int, int, int, int], Patch] = OrderedDict()
        self._by_frame: dict[int, list[int]] = {}
        for index, track in enumerate(self._hidden):
            shot = self.shot(track.spots[0].frame)
            first, last = track.spots[0].frame - NEIGHBOURS, track.spots[-1].frame + NEIGHBOURS
            for number in range(max(first, shot[0]), min(last, shot[1]) + 1):
                self._by_frame.setdefault(number, []).append(index)
        self._areas = []
        for index, area in enumerate(plan.areas):
            patch = masks.head(np.array(area.box), None)
            self._areas.append(Cover(("area", index), look.style, patch, _window(patch)))
        self._whole = lost_frames(plan) if look.paranoid else []

    def shot(self, number: int) -> tuple[int, int]:
        """First and last frame of the shot that a frame is in."""
        return shot_of(self._plan, number)

    def is_whole(self, number: int) -> bool:
        """Whether the whole frame is covered, because a track is lost in it."""
        return any(first <= number <= last for first, last in self._whole)

    def at(self, number: int) -> list[Cover]:
        """All covers of one frame, in the order of the plan, areas last."""
        covers = [self._of_track(index, number) for index in self._by_frame.get(number, ())]
        return covers + [cover for cover, area in zip(self._areas, self._plan.areas)
                         if area.first <= number <= area.last]

    def _of_track(self, index: int, number: int) -> Cover:
        track, spots = self._hidden[index], self._spots[index]
        first, most = spots.frames[0], len(spots) - 1
        nearest = min(max(number - first, 0), most)
        low, high = max(number - NEIGHBOURS - first, 0), min(number + NEIGHBOURS - first, most)
        head, inner = self._head(_generous(spots.box(nearest)), self._pose_of(index)[nearest])
        faces = {face for at in range(low, high) for face in self._way(index, at)}
        faces.add(_outwards(_generous(spots.box(high))))
        x1, y1, x2, y2 = inner
        beyond = [f for f in faces if f[0] < x1 or f[1] < y1 or f[2] > x2 or f[3] > y2]
        return Cover(("track", track.number), track.style or self._look.style, _united(head, beyond), _window(head))

    def _way(self, index: int, at: int) -> list[Window]:
        """The box in the spot at this place of a track, and on its way to the next spot."""
        if (known := self._ways.get((index, at))) is not None:
            return known
        box, then = _generous(self._spots[index].box(at)), _generous(self._spots[index].box(at + 1))
        step_px = _SWEPT_SHARE * min(box[2] - box[0], then[2] - then[0])
        between = min(math.ceil(_distance(box, then) / step_px) - 1, _MOST_BETWEEN)
        faces = [_outwards(box)]
        for step in range(1, between + 1):
            x1, y1, x2, y2 = (a + (b - a) * step / (between + 1) for a, b in zip(box, then))
            faces.append(_outwards((x1, y1, x2, y2)))
        self._ways[index, at] = faces
        while len(self._ways) > _MOST_WAYS:
            self._ways.popitem(last=False)
        return faces

    def _head(self, box: Box, pose: NDArray[np.int8]) -> tuple[Patch, Window]:
        """Hair, ears and chin with the face, of a rounded size and pose; and the rectangle around the box that is
        certainly inside.
        """
        less_x, less_y = ((high - low) * (1 - _HEAD_SHARE) / 2 for low, high in ((box[0], box[2]), (box[1], box[3])))
        left, top, width, height = _rounded((box[0] + less_x, box[1] + less_y, box[2] - less_x, box[3] - less_y))
        key = (width, height, int(pose[0]), int(pose[1]))
        outline = self._outlines.get(key)
        if outline is None:
            outline = masks.head(np.array([0, 0, width, height], float), _landmarks(key[2], key[3]))
            self._outlines[key] = outline
            if len(self._outlines) > _MOST_OUTLINES:
                self._outlines.popitem(last=False)
        head = Patch(left + outline.left, top + outline.top, outline.mask)
        whole = _outwards(box)
        is_inside = all(_holds(head, x, y) for x in (whole[0], whole[2] - 1) for y in (whole[1], whole[3] - 1))
        return head, whole if is_inside else (left, top, left + width, top + height)  # outlines are convex

    def _pose_of(self, index: int) -> NDArray[np.int8]:
        poses = self._poses.get(index)
        if poses is None:
            poses = self._poses[index] = _poses(self._spots[index])
        return poses


def lost_frames(plan: Plan) -> list[tuple[int, int]]:
    """First and last frames, both included, of the times in which the face of a hidden track is lost: from where it was
    last seen until another track begins near by, or the shot ends; and likewise before it was first seen.
    """
    hidden = [track for track in plan.tracks if track.decision == "hide"]
    found = []
    for track in hidden:
        if not track.is_lost:
            continue
        begin, end = shot_of(plan, track.spots[0].frame)
        last, first = track.spots[-1], track.spots[0]
        if last.frame < end and not _is_leaving(last.box, plan.size):
            again = [t.spots[0].frame for t in plan.tracks if last.frame < t.spots[0].frame <= end
                     and _is_near(last, t.spots[0])]
            found.append((last.frame + 1, min(again, default=end + 1) - 1))
        if first.frame > begin and not _is_leaving(first.box, plan.size):
            before = [t.spots[-1].frame for t in plan.tracks if begin <= t.spots[-1].frame < first.frame
                      and _is_near(first, t.spots[-1])]
            found.append((max(before, default=begin - 1) + 1, first.frame - 1))
    united: list[tuple[int, int]] = []
    for low, high in sorted(span for span in found if span[0] <= span[1]):
        if united and low <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(high, united[-1][1]))
        else:
            united.append((low, high))
    return united


def subsampled(patch: Patch, across: int, down: int) -> Patch:
    """The samples of a chroma plane that any covered pixel has a part in, for so many pixels a sample.

    Encoders mix a sample from up to one pixel more on either side, so these count as touched too.
    """
    if across == down == 1:
        return patch
    more_x, more_y = int(across > 1), int(down > 1)
    rows, columns = patch.mask.shape
    left, top = (patch.left - more_x) // across, (patch.top - more_y) // down
    right, bottom = -(-(patch.left + columns + more_x) // across), -(-(patch.top + rows + more_y) // down)
    fine = np.zeros(((bottom - top) * down, (right - left) * across), np.uint8)
    y, x = patch.top - top * down, patch.left - left * across
    fine[y : y + rows, x : x + columns] = patch.mask
    # The largest of each sample's own pixels and their neighbours, kept at each sample's first pixel
    reach = np.ones((down + 2 * more_y, across + 2 * more_x), np.uint8)
    fine = np.asarray(cv2.dilate(fine, reach, anchor=(more_x, more_y), borderType=cv2.BORDER_CONSTANT, borderValue=0))
    return Patch(left, top, fine[::down, ::across].astype(np.bool_))


def clipped(patch: Patch, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Rows and columns of a plane that a patch lies in, and what of them is covered; empty where it lies outside."""
    rows, columns = patch.mask.shape
    y1, x1 = max(patch.top, 0), max(patch.left, 0)
    y2, x2 = max(min(patch.top + rows, shape[0]), y1), max(min(patch.left + columns, shape[1]), x1)
    mask = patch.mask[y1 - patch.top : y2 - patch.top, x1 - patch.left : x2 - patch.left]
    return (slice(y1, y2), slice(x1, x2)), mask


def shot_of(plan: Plan, number: int) -> tuple[int, int]:
    """First and last frame of the shot that a frame is in."""
    at = bisect.bisect_right(plan.cuts, number)
    return plan.cuts[at - 1] if at else 0, (plan.cuts[at] if at < len(plan.cuts) else plan.frames) - 1


def _united(head: Patch, boxes: list[Window]) -> Patch:
    """One patch of a head and boxes around it; of the head alone, the head itself."""
    if not boxes:
        return head
    x1, y1, x2, y2 = _window(head)
    left, top = min(x1, *(box[0] for box in boxes)), min(y1, *(box[1] for box in boxes))
    right, bottom = max(x2, *(box[2] for box in boxes)), max(y2, *(box[3] for box in boxes))
    united = np.zeros((bottom - top, right - left), np.bool_)
    united[y1 - top : y2 - top, x1 - left : x2 - left] = head.mask
    for a, b, c, d in boxes:
        united[b - top : d - top, a - left : c - left] = True
    return Patch(left, top, united)


def _holds(patch: Patch, x: int, y: int) -> bool:
    """Whether a pixel is covered."""
    row, column = y - patch.top, x - patch.left
    rows, columns = patch.mask.shape
    return 0 <= row < rows and 0 <= column < columns and bool(patch.mask[row, column])


def _window(patch: Patch) -> Window:
    rows, columns = patch.mask.shape
    return patch.left, patch.top, patch.left + columns, patch.top + rows


def _generous(box: Box) -> Box:
    """A small face's box, with the pixels around it by which detectors miss its edges."""
    small = min(max((_SMALL_PX - (box[3] - box[1])) / (_SMALL_PX - _SMALLEST_PX), 0.0), 1.0)
    more_x, more_y = ((high - low) * _SMALL_GROWTH * small / 2 for low, high in ((box[0], box[2]), (box[1], box[3])))
    return box[0] - more_x, box[1] - more_y, box[2] + more_x, box[3] + more_y


def _outwards(box: Box) -> Window:
    """All pixels that a box touches."""
    return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])


def _rounded(box: Box) -> tuple[int, int, int, int]:
    """Left, top, width and height of whole pixels around a box, of a size that many boxes share."""
    found = []
    for low, high in ((box[0], box[2]), (box[1], box[3])):
        begin, side = math.floor(low), math.ceil(high) - math.floor(low)
        step = max(_LEAST_STEP_PX, 1 << max(side // _STEPS_A_SIDE, 1).bit_length() - 1)
        rounded = -(-side // step) * step
        found.append((begin - (rounded - side) // 2, rounded))
    (left, width), (top, height) = found
    return left, top, width, height


def _poses(spots: Sequence[Spot]) -> NDArray[np.int8]:
    """(N, 2) roll and turn of each spot, rounded; upright where nothing near by says otherwise."""
    rounded = np.zeros((len(spots), 2), np.int8)
    places = np.array([i for i, spot in enumerate(spots) if spot.landmarks is not None], np.intp)
    if not len(places):
        return rounded
    up, turns = masks.poses(np.array([spots[i].landmarks for i in places], np.float64))
    every = np.arange(len(spots))
    x, y, turned = (np.interp(every, places, values) for values in (*up.T, turns))
    after = np.searchsorted(places, every).clip(0, len(places) - 1)
    near = np.minimum(abs(places[after] - every), abs(places[np.maximum(after - 1, 0)] - every)) <= _POSE_FRAMES
    roll = np.arctan2(x, -y) / (2 * math.pi) * _ROLLS
    rounded[near, 0] = np.rint(roll)[near] % _ROLLS
    rounded[near, 1] = np.rint(turned * _TURNS)[near]
    return rounded


def _landmarks(roll: int, turn: int) -> NDArray[np.float64]:
    """Five points of a face with this pose, as `masks.pose` reads them."""
    angle = 2 * math.pi * roll / _ROLLS
    right, down = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    places = [(-0.5, -0.5), (0.5, -0.5), (turn / _TURNS, 0.0), (-0.5, 0.5), (0.5, 0.5)]
    return np.array([x * right + y * down for x, y in places])


def _distance(one: Box, other: Box) -> float:
    """Between the centres, in pixels."""
    return math.hypot(one[0] + one[2] - other[0] - other[2], one[1] + one[3] - other[1] - other[3]) / 2


def _is_leaving(box: Box, size: tuple[int, int]) -> bool:
    margin = _EDGE_SHARE * max(box[2] - box[0], box[3] - box[1])
    return box[0] < margin or box[1] < margin or box[2] > size[0] - margin or box[3] > size[1] - margin


def _is_near(lost: Spot, other: Spot) -> bool:
    size = max(lost.box[2] - lost.box[0], lost.box[3] - lost.box[1])
    away = _distance(lost.box, other.box)
    return away <= size * (_FOUND_SIZES + _FOUND_GROWTH * abs(other.frame - lost.frame))


