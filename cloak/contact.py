"""The contact picture: a photo, small, with a number at every face, so that people can say which one they mean."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cloak.types import Faces, Pixels

# Below this a number would be larger than the picture has room for
_SHORTEST_PX = 480
_LARGEST_ENLARGEMENT = 8
# Height of the numbers as a share of the longer side, and within which pixels: 16 is read on a screen
_TEXT_SHARE = 1 / 60
_TEXT_PX = (16, 34)
# Bright enough for black numbers, and apart from each other, so that neighbours can be told in a crowd
_COLOURS = ((255, 221, 0), (0, 229, 255), (255, 145, 220), (124, 255, 90), (255, 170, 70), (235, 235, 235))
_BLACK = (0, 0, 0)
# How far from its box a number may be put, in heights of the number; further ones are tied to it by a line
_RINGS = (0.0, 0.75, 1.5, 2.5, 4.0, 6.0)


@dataclass(frozen=True, slots=True)
class Label:
    """Where the number of one face stands."""

    box: NDArray[np.float64]  # (4,) x1 y1 x2 y2 of the plate, pixels of the contact picture
    is_apart: bool  # it does not touch the face's box


def draw(pixels: Pixels, faces: Faces, *, longest_px: int = 2000) -> Pixels:
    """A copy of the photo at most `longest_px` on its longer side, with a numbered box at every face.

    Numbers are those of `cloak faces`: 1 is the first of `faces`. A tiny photo is enlarged, so that they can be read.
    """
    if longest_px < 1:
        raise ValueError(f"longest_px is {longest_px}, expected at least 1. Nothing was drawn")
    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    scale = min(scale, max(1.0, min(_SHORTEST_PX / min(height, width), _LARGEST_ENLARGEMENT)))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = Image.fromarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=how))
    boxes = faces.boxes.astype(np.float64) * (np.array(size * 2) / (width, height, width, height))
    text_px = round(min(max(_TEXT_SHARE * max(size), _TEXT_PX[0]), _TEXT_PX[1]))
    font = ImageFont.load_default(text_px)
    numbers = [str(i + 1) for i in range(len(faces))]
    plates = [_plate(number, font, text_px) for number in numbers]
    labels = place(boxes, np.array(plates).reshape(-1, 2), size)
    canvas = ImageDraw.Draw(image)
    line = max(2, text_px // 8)
    for i, box in enumerate(boxes):
        _outline(canvas, box, _COLOURS[i % len(_COLOURS)], line)
    for i, (box, label) in enumerate(zip(boxes, labels)):
        if label.is_apart:
            _tie(canvas, box, label.box, _COLOURS[i % len(_COLOURS)], line)
    for i, (number, label) in enumerate(zip(numbers, labels)):
        x1, y1, x2, y2 = label.box.tolist()
        canvas.rectangle((x1, y1, x2 - 1, y2 - 1), fill=_COLOURS[i % len(_COLOURS)], outline=_BLACK)
        canvas.text(((x1 + x2) / 2, (y1 + y2) / 2), number, font=font, fill=_BLACK, anchor="mm")
    return np.array(image, np.uint8)


def place(boxes: NDArray[np.float64], plates: NDArray[np.float64], size: tuple[int, int]) -> list[Label]:
    """A place for the plate of each face: off all faces and off all other plates where there is room for that.

    Args:
        boxes: (N, 4) of the faces, in pixels of a picture of `size` (width, height).
        plates: (N, 2) width and height of each.
    Returns:
        N labels inside the picture, as far as they fit in. The closest place that is free wins; where none is, the
        one that hides least, other plates counting most and the face's own box less than another's: whose number it
        is must be seen.
    """
    labels: list[Label | None] = [None] * len(boxes)
    taken = np.zeros((0, 4))
    # Who has least room around chooses first
    for i in sorted(range(len(boxes)), key=lambda i: -float(_shared(boxes, _enlarged(boxes[i])).sum())):
        best, least = None, np.inf
        for place_cost, candidate in _candidates(boxes[i], plates[i]):
            limits = np.maximum(np.array(size) - plates[i], 0)
            corner = candidate.clip(0, limits)
            plate = np.concatenate([corner, corner + plates[i]])
            area = plates[i].prod()
            cost = place_cost + 20 * _shared(taken, plate).sum() / area + 4 * _shared(boxes, plate).sum() / area
            cost -= 2 * float(_shared(boxes[i : i + 1], plate)[0]) / area
            if cost < least:
                best, least = plate, cost
        assert best is not None  # there always are candidates
        gap = np.maximum(np.maximum(boxes[i, :2] - best[2:], best[:2] - boxes[i, 2:]), 0).max()
        labels[i] = Label(best, bool(gap > 3))
        taken = np.vstack([taken, best])
    return [label for label in labels if label is not None]


def _candidates(box: NDArray[np.float64], plate: NDArray[np.float64]) -> list[tuple[float, NDArray[np.float64]]]:
    """(cost, top left corner) of the places around a box, the best first: above, below, beside, inside, further out."""
    (x1, y1, x2, y2), (w, h) = box, plate
    found = []
    for ring in _RINGS:
        gap = ring * h
        left, right = x1 - w - gap, x2 + gap
        above, below = y1 - h - gap, y2 + gap
        middle_x, middle_y = (x1 + x2 - w) / 2, (y1 + y2 - h) / 2
        spots = [(x1, above), (middle_x, above), (x2 - w, above), (x1, below), (middle_x, below), (x2 - w, below),
                 (left, y1), (right, y1), (left, middle_y), (right, middle_y), (left, y2 - h), (right, y2 - h),
                 (left, above), (right, above), (left, below), (right, below)]
        if ring == 0:
            spots += [(x1, y2 - h), (x2 - w, y2 - h), (x1, y1), (x2 - w, y1)]
        found += [(ring / 2 + order / 100, np.array(spot)) for order, spot in enumerate(spots)]
    return found


def _plate(number: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text_px: int) -> tuple[int, int]:
    """Width and height of what a number stands on."""
    left, _, right, _ = font.getbbox(number)
    return int(right - left) + round(0.5 * text_px), round(1.2 * text_px)


def _outline(canvas: ImageDraw.ImageDraw, box: NDArray[np.float64], colour: tuple[int, int, int], line: int) -> None:
    """The colour between two lines of black, which shows on any ground; around the box, so that it hides no face but
    one that the edge of the picture cuts.
    """
    width, height = canvas.im.size
    x1, y1, x2, y2 = (round(v) for v in box.tolist())
    for grown, fill, thickness in ((line + 2, _BLACK, line + 2), (line + 1, colour, line)):
        near = np.clip((x1 - grown, y1 - grown), 0, (width - 1, height - 1))
        far = np.clip((x2 + grown - 1, y2 + grown - 1), near, (width - 1, height - 1))
        canvas.rectangle((*near.tolist(), *far.tolist()), outline=fill, width=thickness)


def _tie(
    canvas: ImageDraw.ImageDraw, box: NDArray[np.float64], plate: NDArray[np.float64], colour: tuple[int, int, int],
    line: int,
) -> None:
    """A line between the points where the box and the plate are closest."""
    ends = []
    for one, other in itertools.permutations((box, plate)):
        centre = (other[:2] + other[2:]) / 2
        ends.append(tuple(centre.clip(one[:2], one[2:]).tolist()))
    canvas.line(ends, fill=_BLACK, width=line + 2)
    canvas.line(ends, fill=colour, width=line)


def _enlarged(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice as wide and high."""
    half = (box[2:] - box[:2]) / 2
    return np.concatenate([box[:2] - half, box[2:] + half])


def _shared(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) area that each of (N, 4) boxes shares with one."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    area: NDArray[np.float64] = np.clip(sides, 0, None).prod(1)
    return area
