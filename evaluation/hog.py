"""dlib's HOG detector, the judge's second opinion on whether there is a face.

It has nothing in common with the first: hand-made features, a linear classifier, its own landmarks. A face that
one network no longer sees may still be seen by this. It stands apart from `evaluation/faces.py` because that
file's digest is part of every cached template.

Source: King 2015, Max-Margin Object Detection, https://arxiv.org/abs/1502.00046; Kazemi and Sullivan, CVPR 2014.
"""

from __future__ import annotations

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from evaluation.faces import ARCFACE_TEMPLATE, Faces, Pixels, similarity_transform
from evaluation.files import verified
from evaluation.matchers.dlib_cpp import LANDMARKS, SHIFT_DOWN, SIDE, models_folder

# Width / height of YuNet's boxes: median over the main face of 382 photos of lfw-dev, every 20th. dlib gives a
# square; everything behind a detector expects the tall box.
ASPECT = 0.725

# Where dlib's five points (corners of both eyes, then the base of the nose; image-right eye first) lie on the ArcFace
# chip that YuNet's landmarks make: medians over the same photos, standard deviations 1.8 to 2.8 px.
POINTS_ON_CHIP = np.array(
    [[79.84, 52.65], [66.22, 53.17], [31.23, 53.40], [44.87, 53.53], [55.66, 79.53]], np.float64
)


class Hog:
    """dlib's frontal face detector at native size; enlarged 2x when nothing was found at native size."""

    def __init__(self) -> None:
        self._detector = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(verified(models_folder() / LANDMARKS[0], LANDMARKS[1])))
        self.identity = f"hog dlib {dlib.__version__} {LANDMARKS[1]} opencv {cv2.__version__}"

    def find(self, pixels: Pixels) -> Faces:
        """Boxes have the shape of YuNet's; landmarks are the ArcFace template laid on dlib's five points."""
        found = self._find(np.ascontiguousarray(pixels), 1)
        return found if len(found) else self._find(np.ascontiguousarray(pixels), 2)

    def _find(self, pixels: Pixels, enlargement: int) -> Faces:
        if enlargement > 1:
            pixels = np.asarray(
                cv2.resize(pixels, None, fx=enlargement, fy=enlargement, interpolation=cv2.INTER_CUBIC), np.uint8
            )
        squares, margins, _ = self._detector.run(pixels, 0, 0.0)
        boxes = np.array([_tall_box(square) for square in squares], np.float32).reshape(-1, 4)
        landmarks = np.array([self._five_points(pixels, square) for square in squares], np.float32).reshape(-1, 5, 2)
        margin = np.maximum(np.array(margins, np.float32), 0)
        scale = np.float32(enlargement)
        # dlib's margin has no upper end; scores have.
        return Faces(boxes / scale, landmarks / scale, margin / (1 + margin), enlargement > 1)

    def _five_points(self, pixels: Pixels, square: dlib.rectangle) -> NDArray[np.float64]:
        shape = self._landmarks(pixels, square)
        seen = np.array([[part.x, part.y] for part in shape.parts()], np.float32)
        to_chip = similarity_transform(seen, POINTS_ON_CHIP)
        turn, shift = to_chip[:, :2], to_chip[:, 2]
        return np.asarray((ARCFACE_TEMPLATE - shift) @ np.linalg.inv(turn).T)


def _tall_box(square: dlib.rectangle) -> NDArray[np.float64]:
    """The box YuNet would give for a square of dlib: undoes `dlib_cpp.dlib_rectangle`."""
    height = (square.right() - square.left()) / SIDE
    x = (square.left() + square.right()) / 2
    y = (square.top() + square.bottom()) / 2 - SHIFT_DOWN * height
    half = np.array([ASPECT * height, height]) / 2
    return np.concatenate([[x, y] - half, [x, y] + half])
