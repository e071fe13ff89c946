"""Where a treatment may act: float masks in [0, 1] on a face's grid for a cloak, whole heads for a redaction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.types import Pixels


def feathered_ellipse(
    size_px: int, centre: tuple[float, float], axes: tuple[float, float], *, feather: float
) -> NDArray[np.float32]:
    """1 inside an ellipse, 0 outside, a raised cosine between.

    Args:
        centre: (x, y) of the ellipse on a (size_px, size_px) grid.
        axes: half width and half height in pixels, to where the mask reaches 0.
        feather: share of the half axes over which it falls from 1 to 0, in (0, 1].
    """
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32)
    dx, dy = x - centre[0], y - centre[1]
    radius = np.hypot(dx / axes[0], dy / axes[1])
    ramp = np.clip((1.0 - radius) / feather, 0.0, 1.0)
    mask: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * ramp)).astype(np.float32)
    return mask


# Standard deviation of luma in a window, on the [0, 1] scale: what counts as smooth, and what a face in a press photo
# has on average (61 portraits of people used for nothing else)
_SMOOTH, _USUAL = 0.02, 0.065
_WINDOW_PX = 7
_TEXTURE_RANGE = (0.25, 1.3)


def texture(pixels: Pixels) -> NDArray[np.float32]:
    """How much change each pixel of (S, S, 3) hides, compared with a usual face: (S, S) in [0.25, 1.3].

    Grows with the local contrast: contrast masking, Legge and Foley, JOSA 70(12), 1980. Not relative to the face
    itself, so that smooth skin gets a smaller change as a whole. Capped, so that the strong edges of eyes and teeth
    do not collect all of it.
    """
    luma = pixels.mean(2, dtype=np.float32) / 255
    window = (_WINDOW_PX, _WINDOW_PX)
    mean, square = (cv2.blur(x, window, borderType=cv2.BORDER_REFLECT) for x in (luma, luma * luma))
    contrast = np.sqrt(np.maximum(square - mean * mean, 0)) + _SMOOTH
    return np.asarray(np.clip(contrast / _USUAL, *_TEXTURE_RANGE), np.float32)


@dataclass(frozen=True, slots=True)
class Patch:
    """A small window and what of it is covered. It may reach over the edges of the picture, or lie outside it."""

    left: int  # of the window in the picture, may be negative
    top: int
    mask: NDArray[np.bool_]  # (h, w), True where covered


# Of a head, in its own upright frame, as multiples of the detector's box. Chosen by looking at 36 portraits and 9 group
# photos: CenterFace's boxes reach from the hairline to the chin, and from ear to ear at most.
_HALF_WIDTH, _HALF_HEIGHT = 0.82, 0.84
# How far the middle of the head lies above the middle of the box, of its height: there is more hair than neck.
_RAISED = 0.12
# How far it lies away from the nose in a full profile, of the box's width: there the box ends before the ear.
_SET_BACK = 0.25
# How much larger it is for a head that lies on its side, where the detector's points give too little roll: 17 degrees
# less than the portrait of the tests was turned by.
_LYING = 0.2


def head(box: NDArray[np.floating], landmarks: NDArray[np.floating] | None) -> Patch:
    """The area that a redaction of one face covers: hair, ears and chin with it, and always the whole box.

    Args:
        box: (4,) x1 y1 x2 y2, half-open, in pixels counted from corners; may leave the picture.
        landmarks: (5, 2) eyes, nose, mouth corners, which give the roll and which way the face is turned. Points that
            give none (all in one place, not finite) stand for an upright face. None: a region drawn by hand, of
            which every pixel that the box touches is covered and no other.
    Raises:
        ValueError: the box is empty, inside out or not finite.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    if not (math.isfinite(x2 - x1) and math.isfinite(y2 - y1) and x1 < x2 and y1 < y2):
        raise ValueError(f"the box {x1:g} {y1:g} {x2:g} {y2:g} holds nothing. No area was made of it")
    edges = np.array([[math.floor(x1), math.floor(y1)], [math.ceil(x2), math.ceil(y2)]])
    if landmarks is None:
        (left, top), (right, bottom) = edges
        return Patch(int(left), int(top), np.ones((bottom - top, right - left), np.bool_))
    (up,), (turned,) = poses(np.asarray(landmarks)[None])
    right_hand = np.array([-up[1], up[0]])
    # The box is upright, the head need not be: of a lying one the box's width is the height
    level = float(up[1] ** 2)
    size = np.array([[level, 1 - level], [1 - level, level]]) @ (x2 - x1, y2 - y1)
    # The box of a face that something hides is thinner than any face
    width, height = np.maximum(size, size[::-1] / 2)
    centre = np.array([x1 + x2, y1 + y2]) / 2 + _RAISED * height * up - _SET_BACK * width * turned * right_hand
    axes = np.array([_HALF_WIDTH * width, _HALF_HEIGHT * height]) * (1 + _LYING * (1 - level))
    frame = np.stack([right_hand, up])
    corners = np.array([(x, y) for x in edges[:, 0] for y in edges[:, 1]])
    # It is convex: with the corners of the box all of the box is inside
    axes *= max(1.0, float(_cubes(*((corners - centre) @ frame.T / axes).T).max()) ** (1 / 3))
    reach = np.abs(frame.T) @ axes
    left, top = np.floor(centre - reach).astype(int)
    right, bottom = np.ceil(centre + reach).astype(int)
    x, y = np.arange(left, right) + 0.5 - centre[0], np.arange(top, bottom)[:, None] + 0.5 - centre[1]
    (a, b), (c, d) = frame / axes[:, None]
    return Patch(int(left), int(top), _cubes(x * a + y * b, x * c + y * d) <= 1)


def _cubes(along: NDArray[np.float64], upwards: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most 1 inside the superellipse with half axes of 1. Of exponent 3: an ellipse's 2 leaves the corners of the
    jaw and of the hair.
    """
    cubes: NDArray[np.float64] = np.abs(along) * along * along + np.abs(upwards) * upwards * upwards
    return cubes


def poses(landmarks: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Which way is up for each face, unit vectors (N, 2), and how far it is turned, (N,): -1 and 1 are profiles, 1
    looks to its own left, image-right of an upright head. `landmarks`, (N, 5, 2), that say nothing mean upright.
    """
    points = np.asarray(landmarks, np.float64)
    is_known = np.asarray(np.isfinite(points).all((1, 2)))
    points = np.where(is_known[:, None, None], points, 0.0)
    left_eye, right_eye, nose, left_mouth, right_mouth = np.moveaxis(points, 1, 0)
    across = right_eye - left_eye
    # The eyes give the roll of a face seen from the front, the line to the mouth that of one in profile
    up = (left_eye + right_eye - left_mouth - right_mouth) / 2 + across[:, ::-1] * (1, -1)
    length = np.hypot(*up.T)
    is_known &= length >= 1e-6
    up = np.where(is_known[:, None], up / np.maximum(length, 1e-6)[:, None], (0.0, -1.0))
    right_hand = up[:, ::-1] * (-1, 1)
    # The nose is half way between the eyes from the front, and beyond one of them in profile
    offset = ((nose - points[:, [0, 1, 3, 4]].mean(1)) * right_hand).sum(1)
    width = np.maximum((across * right_hand).sum(1), ((right_mouth - left_mouth) * right_hand).sum(1)).clip(1e-6)
    return up, np.where(is_known, np.clip(offset / width, -1, 1), 0.0)
