"""Pictures of crowds for `train_detector.py`: people pasted over clutter, smeared by motion, dark, noisy, compressed.

Where faces are was found by CenterFace itself on the sharp portraits and scenes. Then the pictures are spoilt, and the
network learns to find in the spoilt picture what it found in the sharp one. Everything is drawn from one seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.types import Faces, Pixels

SIDE_PX = 384  # of the pictures
CELL_PX = 4  # of the network's maps
_PORTRAIT_PX = 250  # deep-funnelled LFW
_PHOTOS_EACH = 3
_LOWEST_SCORE = 0.3
# Faces of which less is seen, that the teacher was less sure of, or that are smaller are neither right nor wrong
_SEEN_SHARE, _SURE, _SMALLEST_PX = 0.45, 0.5, 6
_NOTHING_SEEN = 0.1

Matrix = NDArray[np.float64]
Random = np.random.Generator
Find = Callable[[Pixels], Faces]


@dataclass(frozen=True, slots=True)
class Known:
    """A picture with the faces in it."""

    name: str
    boxes: NDArray[np.float64]  # (N, 4)
    landmarks: NDArray[np.float64]  # (N, 5, 2), counted from pixel corners as boxes are
    scores: NDArray[np.float64]
    pixels: Pixels | None = None  # of scenes; portraits are read when they are needed


@dataclass(frozen=True, slots=True)
class Truth:
    """One face of a sample."""

    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    score: float  # how sure the teacher was of it in the sharp picture
    owner: int  # what it belongs to, in the order in which things were pasted; the background is 0
    visible: float = 1.0  # share


# --- what is pasted ----------------------------------------------------------------------------------------------


def known_portraits(folder: Path, left_out: Path, find: Find) -> list[Known]:
    """Up to three portraits each of the people of an LFW folder, but of none that `left_out` names.

    Args:
        left_out: JSON of `photos`, named `<Person>/<file>`: the people in the clips on which detectors are judged.
    """
    strangers = {photo.split("/")[0] for photo in json.loads(left_out.read_text("utf-8"))["photos"]}
    people = sorted(person for person in folder.iterdir() if person.is_dir() and person.name not in strangers)
    photos = [photo for person in people for photo in sorted(person.glob("*.jpg"))[:_PHOTOS_EACH]]
    portraits = [_known(str(photo), _read(str(photo)), find, _LOWEST_SCORE) for photo in photos]
    return [portrait for portrait in portraits if len(portrait.scores)]


def known_scenes(clip: Path, every: int, longest_px: int, find: Find) -> list[Known]:
    """Every so many frames of a clip, or a picture, as grounds to paste on; reduced where they are larger."""
    scenes = []
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                scale = min(1.0, longest_px / max(frame.width, frame.height))
                pixels = cv2.resize(frame.to_ndarray(format="rgb24"), None, fx=scale, fy=scale,
                                    interpolation=cv2.INTER_AREA)
                scenes.append(replace(_known(clip.name, pixels, find, 0.2), pixels=pixels))
    return scenes


def _known(name: str, pixels: Pixels, find: Find, lowest: float) -> Known:
    faces = find(pixels)
    faces = faces.take(np.flatnonzero(faces.scores >= lowest))
    return Known(name, faces.boxes.astype(float), faces.landmarks.astype(float) + 0.5, faces.scores.astype(float))


def _read(photo: str) -> Pixels:
    bgr = cv2.imread(photo)
    if bgr is None or bgr.shape[:2] != (_PORTRAIT_PX, _PORTRAIT_PX):
        raise SystemExit(f"{photo}: no portrait of {_PORTRAIT_PX} x {_PORTRAIT_PX} pixels. Nothing was trained.")
    return np.ascontiguousarray(bgr[..., ::-1])


# --- one sample --------------------------------------------------------------------------------------------------


def sample(rng: Random, portraits: Sequence[Known], scenes: Sequence[Known]) -> tuple[Pixels, list[Truth]]:
    """(384, 384, 3) u8 RGB, and the faces in it. It is made up to twice as large, and reduced once it is spoilt."""
    larger = float(rng.choice([1.0, 1.5, 2.0], p=[0.5, 0.3, 0.2]))
    side = int(SIDE_PX * larger)
    canvas, truths = _ground(rng, side, portraits, scenes)
    kind = rng.random()
    if kind < 0.08:
        people, smallest, largest = 1, 150.0, 360.0
    elif kind < 0.3:
        people, smallest, largest = int(rng.integers(1, 6)), 30.0, 170.0
    elif kind < 0.9:
        people, smallest, largest = int(rng.integers(4, 20)), 6.5, 70.0
    else:
        people, smallest, largest = 0, 1.0, 2.0
    owner = np.zeros((side, side), np.int32)
    for number in range(1, people + 1):
        one = portraits[int(rng.integers(len(portraits)))]
        truths += _paste(rng, canvas, owner, number, one, (smallest * larger, largest * larger))
        if rng.random() < 0.1:  # a post or a placard
            (width, height), (x, y) = rng.uniform(4, 70, 2) * larger, rng.uniform(0, side, 2)
            corner, end = (int(x), int(y)), (int(x + width), int(y + 2 * height))
            cv2.rectangle(canvas, corner, end, tuple(rng.uniform(0, 220, 3).tolist()), -1)
            owner[corner[1] : end[1] + 1, corner[0] : end[0] + 1] = people + 1
    truths = [replace(truth, visible=_visible(truth, owner)) for truth in truths]
    spoilt = _spoilt(rng, canvas, larger)
    return spoilt, [replace(t, box=t.box / larger, landmarks=t.landmarks / larger) for t in truths]


def _ground(rng: Random, side: int, portraits: Sequence[Known], scenes: Sequence[Known]) -> tuple[Pixels, list[Truth]]:
    if not scenes or rng.random() < 0.45:
        return _clutter(rng, side, portraits), []
    scene = scenes[int(rng.integers(len(scenes)))]
    assert scene.pixels is not None
    rows, columns = scene.pixels.shape[:2]
    scale = max(side / columns, side / rows) * math.exp(rng.uniform(0, 1.0))
    flipped = rng.random() < 0.5
    x, y = (rng.integers(0, math.ceil(length * scale) - side + 1) for length in (columns, rows))
    across = [-scale, 0, scale * columns - scale / 2 - 0.5 - x] if flipped else [scale, 0, scale / 2 - 0.5 - x]
    matrix = np.array([across, [0, scale, scale / 2 - 0.5 - y]])
    pixels = cv2.warpAffine(scene.pixels, matrix, (side, side), borderMode=cv2.BORDER_REFLECT,
                            flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    moved = [_moved(scene, n, matrix, 0, flipped=flipped) for n in range(len(scene.scores))]
    return np.asarray(pixels, np.uint8), moved


def _clutter(rng: Random, side: int, portraits: Sequence[Known]) -> Pixels:
    """What stands beside the people in portraits, stretched; shapes, some of the colour of skin; letters."""
    canvas = np.full((side, side, 3), rng.uniform(40, 190), np.uint8)
    for _ in range(rng.integers(6, 40)):
        portrait = portraits[int(rng.integers(len(portraits)))]
        size = int(rng.integers(16, 60))
        free = portrait.boxes[:, 0].min() - 0.4 * (portrait.boxes[:, 2] - portrait.boxes[:, 0]).max()
        if free < size + 4:
            continue
        x, y = int(rng.integers(0, free - size)), int(rng.integers(0, _PORTRAIT_PX - size))
        width, height = (int(v) for v in rng.uniform(10, 0.8 * side, 2))
        left, top = int(rng.uniform(-width / 2, side - width / 2)), int(rng.uniform(-height / 2, side - height / 2))
        piece = cv2.resize(_read(portrait.name)[y : y + size, x : x + size], (width, height),
                           interpolation=cv2.INTER_CUBIC)
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, side), min(top + height, side)
        canvas[y1:y2, x1:x2] = piece[y1 - top : y2 - top, x1 - left : x2 - left]
    for _ in range(rng.integers(0, 30)):
        colour = rng.uniform(0, 255, 3)
        if rng.random() < 0.4:
            colour = np.array([200, 150, 120]) * rng.uniform(0.5, 1.2)  # of skin, and no face
        paint = tuple(colour.tolist())
        (x, y), (width, height) = rng.uniform(0, side, 2), rng.uniform(4, 90, 2)
        kind = rng.random()
        if kind < 0.35:
            cv2.rectangle(canvas, (int(x), int(y)), (int(x + width), int(y + height)), paint, -1)
        elif kind < 0.6:
            cv2.ellipse(canvas, (int(x), int(y)), (int(width / 2), int(height / 2)), rng.uniform(0, 180), 0, 360,
                        paint, -1, cv2.LINE_AA)
        elif kind < 0.8:
            end = int(x + rng.uniform(-200, 200)), int(y + rng.uniform(-200, 200))
            cv2.line(canvas, (int(x), int(y)), end, paint, int(rng.integers(1, 8)), cv2.LINE_AA)
        else:
            word = "".join(chr(letter) for letter in rng.integers(65, 91, 6))
            cv2.putText(canvas, word, (int(x), int(y)), cv2.FONT_HERSHEY_DUPLEX, rng.uniform(0.3, 1.5), paint,
                        int(rng.integers(1, 3)), cv2.LINE_AA)
    return canvas


def _paste(rng: Random, canvas: Pixels, owner: NDArray[np.int32], number: int, portrait: Known,
           heights: tuple[float, float]) -> list[Truth]:
    """One person, with or without shoulders and surroundings, tilted, narrowed, and mostly smeared by motion."""
    side = canvas.shape[0]
    box = portrait.boxes[int(np.argmax(portrait.scores))]
    size = box[2:] - box[:2]
    height = math.exp(rng.uniform(math.log(heights[0]), math.log(heights[1])))
    scale, angle = height / size[1], math.radians(float(np.clip(rng.normal(0, 14), -40, 40)))
    flipped = bool(rng.random() < 0.5)
    across = scale * rng.uniform(0.72, 1.08) * (-1 if flipped else 1)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn @ np.diag([across, scale])
    matrix = np.hstack([linear, (rng.uniform(-0.02, 1.02, 2) * side - linear @ (box[:2] + box[2:]) / 2)[:, None]])

    reduction = max(1, int(0.7 / scale))
    edge = _PORTRAIT_PX // reduction
    step = _PORTRAIT_PX / edge
    photo = _read(portrait.name)
    if reduction > 1:
        photo = np.asarray(cv2.resize(photo, (edge, edge), interpolation=cv2.INTER_AREA), np.uint8)
    alpha = _outline(rng, edge, step, box)
    tint = rng.uniform(0.75, 1.15) * (1 + rng.uniform(-0.06, 0.06, 3))
    rgb = np.clip(photo * (alpha[..., None] * tint.astype(np.float32)), 0, 255)
    sprite = np.dstack([rgb, alpha * 255]).astype(np.uint8)

    length = 0.0 if rng.random() < 0.35 else height * rng.uniform(0, 1.25) * (1.0 if rng.random() < 0.8 else 1.4)
    heading = rng.normal(0, 0.45) if rng.random() < 0.75 else rng.uniform(0, math.pi)
    smear = _smear(length * math.cos(heading), length * math.sin(heading))
    pad = 3 + (0 if smear is None else smear.shape[0] // 2)
    corners = matrix @ np.array([[0, _PORTRAIT_PX, _PORTRAIT_PX, 0], [0, 0, _PORTRAIT_PX, _PORTRAIT_PX], [1, 1, 1, 1]])
    x1, y1 = np.maximum(np.floor(corners.min(1)) - pad, -pad).astype(int)
    x2, y2 = np.minimum(np.ceil(corners.max(1)) + pad, side + pad).astype(int)
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, side), min(y2, side)
    if right <= left or bottom <= top:
        return []
    placed = np.hstack([linear * step, (linear @ np.full(2, step / 2 - 0.5) + matrix[:, 2])[:, None]])
    placed[:, 2] -= (x1, y1)
    window = cv2.warpAffine(sprite, placed, (int(x2 - x1), int(y2 - y1)), flags=cv2.INTER_LINEAR)
    if smear is not None:
        window = cv2.filter2D(window, -1, smear, borderType=cv2.BORDER_REPLICATE)
    window = window[top - y1 : bottom - y1, left - x1 : right - x1]
    ground = canvas[top:bottom, left:right]
    ground[:] = cv2.add(cv2.multiply(ground, cv2.merge([255 - window[..., 3]] * 3), scale=1 / 255), window[..., :3])
    owner[top:bottom, left:right][window[..., 3] > 110] = number

    found = []
    for n, other in enumerate(portrait.boxes):  # people beside the first came along in whole, in part, or not at all
        a, b, c, d = np.maximum(other / step, 0).astype(int)
        part = alpha[b : d + 1, a : c + 1]
        if part.size and (share := float(part.mean())) >= 0.3:
            truth = _moved(portrait, n, matrix, number, flipped=flipped)
            found.append(truth if share > 0.8 else replace(truth, score=min(truth.score, 0.35)))
    return found


def _outline(rng: Random, edge: int, step: float, box: NDArray[np.float64]) -> NDArray[np.float32]:
    """(edge, edge) how much of each pixel of a portrait is pasted: a head, a soft box around it, or everything."""
    yy, xx = np.mgrid[0:edge, 0:edge].astype(np.float32) * step
    (width, height), (x, y) = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    kind = rng.random()
    if kind < 0.55:
        wide, high = rng.uniform(0.62, 1.1), rng.uniform(0.66, 1.0)
        mask = ((xx - x) / (wide * width)) ** 2 + ((yy - y + 0.12 * height) / (high * height)) ** 2 <= 1
        neck, shoulders = rng.uniform(0.25, 0.6), rng.uniform(0.5, 1.6)
        down = np.clip((yy - (box[3] - 0.1 * height)) / (rng.uniform(0.4, 1.1) * height), 0, 1)
        mask |= (yy > box[3] - 0.2 * height) & (np.abs(xx - x) < (neck + shoulders * down) * width)
    elif kind < 0.8:
        left, right, over, under = rng.uniform(0.1, 1.2, 4)
        mask = ((xx > box[0] - left * width) & (xx < box[2] + right * width)
                & (yy > box[1] - (0.25 + over) * height) & (yy < box[3] + under * height))
    else:
        mask = np.ones((edge, edge), bool)
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(rng.uniform(0.6, 5) / step, 0.3))
    rim = int(rng.integers(1, 3))
    alpha[:rim] = alpha[-rim:] = 0
    alpha[:, :rim] = alpha[:, -rim:] = 0
    return np.asarray(alpha, np.float32)


def _smear(dx: float, dy: float) -> NDArray[np.float32] | None:
    """The kernel of an even motion by so many pixels; None for next to none."""
    length = math.hypot(dx, dy)
    if length < 1.5:
        return None
    side = min(int(max(abs(dx), abs(dy))) + 3 | 1, 95)
    along = np.linspace(-0.5, 0.5, int(4 * length) + 2)
    x, y = (np.clip(side // 2 + along * by, 0, side - 1.001) for by in (dx, dy))
    kernel = np.zeros((side, side), np.float32)
    for right in (0, 1):
        for down in (0, 1):
            share = (1 - np.abs(x - np.floor(x) - right)) * (1 - np.abs(y - np.floor(y) - down))
            np.add.at(kernel, ((np.floor(y) + down).astype(int), (np.floor(x) + right).astype(int)), share)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _moved(known: Known, n: int, matrix: Matrix, owner: int, *, flipped: bool) -> Truth:
    """The n-th face through a matrix of pixel centres; its box is that of the ellipse in its box."""
    x1, y1, x2, y2 = known.boxes[n]
    linear = matrix[:, :2]
    centre = linear @ (np.array([x1 + x2, y1 + y2]) / 2 - 0.5) + matrix[:, 2] + 0.5
    reach = np.hypot(linear[:, 0] * (x2 - x1) / 2, linear[:, 1] * (y2 - y1) / 2)
    points = (known.landmarks[n] - 0.5) @ linear.T + matrix[:, 2] + 0.5
    if flipped:
        points = points[[1, 0, 2, 4, 3]]
    return Truth(np.concatenate([centre - reach, centre + reach]), points, float(known.scores[n]), owner)


def _visible(truth: Truth, owner: NDArray[np.int32]) -> float:
    """Share of a face's ellipse that is in the picture and behind nothing that was pasted later."""
    side = owner.shape[0]
    (x1, y1, x2, y2), at = truth.box, (np.arange(8) + 0.5) / 8
    xs, ys = np.meshgrid(x1 + at * (x2 - x1), y1 + at * (y2 - y1))
    across, down = np.meshgrid(2 * at - 1, 2 * at - 1)
    ellipse = across**2 + down**2 <= 1
    inside = ellipse & (xs >= 0) & (xs < side) & (ys >= 0) & (ys < side)
    over = owner[ys.clip(0, side - 1).astype(int), xs.clip(0, side - 1).astype(int)] > truth.owner
    return float((inside & ~over).sum() / ellipse.sum())


def _spoilt(rng: Random, canvas: Pixels, larger: float) -> Pixels:
    """A shaking camera, a lens, the night, a sensor, a codec; and the reduction with which clips are looked at."""
    picture: Any = canvas.astype(np.float32)
    side = canvas.shape[0]
    if rng.random() < 0.4:
        heading, length = rng.uniform(0, math.pi), rng.uniform(1, 7) * larger
        if (smear := _smear(length * math.cos(heading), length * math.sin(heading))) is not None:
            picture = cv2.filter2D(picture, -1, smear)
    if rng.random() < 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6) * larger)
    light = rng.uniform(0.35, 1.15) if rng.random() < 0.6 else 1.0
    picture = picture * light * (1 + rng.uniform(-0.08, 0.08, 3)) + rng.uniform(-10, 10)
    if rng.random() < 0.7:
        strength = rng.uniform(0, 10)
        grain = side // 2 if rng.random() < 0.3 else side
        noise = rng.standard_normal((grain, grain, 3), dtype=np.float32) * strength
        picture = picture + cv2.resize(noise, (side, side))
    spoilt = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.8:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 92))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", spoilt[..., ::-1], quality)[1], cv2.IMREAD_COLOR)
        assert decoded is not None
        spoilt = np.asarray(decoded[..., ::-1], np.uint8)
    return np.asarray(cv2.resize(spoilt, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


# --- what the network should answer ------------------------------------------------------------------------------


def targets(truths: Sequence[Truth]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The map of centres, where it counts, and what to say at each centre.

    Returns:
        (96, 96) from 0 to 1; (96, 96) 0 where neither answer is wrong; (N, 16) rows of cell y and x, log of height and
        width in cells, offset of the centre y and x from the cell's middle, and 5 landmarks y, x in shares of the box.
    """
    side = SIDE_PX // CELL_PX
    heat, counts = np.zeros((side, side), np.float32), np.ones((side, side), np.float32)
    told = []
    for truth in truths:
        x1, y1, x2, y2 = (float(v) for v in truth.box)
        width, height, x, y = x2 - x1, y2 - y1, (x1 + x2) / 2 / CELL_PX, (y1 + y2) / 2 / CELL_PX
        if truth.visible <= _NOTHING_SEEN or height < 2:
            continue
        column, row = math.floor(x), math.floor(y)
        if (truth.visible < _SEEN_SHARE or truth.score < _SURE or height < _SMALLEST_PX
                or not (0 <= column < side and 0 <= row < side)):
            counts[_cells(y1, y2), _cells(x1, x2)] = 0
            continue
        spread = max(0.12 * math.sqrt(width * height) / CELL_PX, 0.35)
        reach = int(3 * spread) + 1
        top, left = max(row - reach, 0), max(column - reach, 0)
        part = heat[top : row + reach + 1, left : column + reach + 1]
        ys, xs = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
        np.maximum(part, np.exp(-((xs - column) ** 2 + (ys - row) ** 2) / (2 * spread**2)), out=part)
        points = (truth.landmarks - [x1, y1]) / [width, height]
        told.append((row, column, math.log(height / CELL_PX), math.log(width / CELL_PX), y - row - 0.5,
                     x - column - 0.5, *points[:, ::-1].reshape(-1)))
    for row, column, *_ in told:
        counts[row, column] = 1
    return heat, counts, np.array(told, np.float32).reshape(-1, 16)


def _cells(start: float, end: float) -> slice:
    return slice(max(int(start / CELL_PX), 0), max(int(end / CELL_PX) + 1, 0))
