"""The judge's own decode, detection and alignment; shares no code with the engine.

Convention: points are (x, y) in pixels and (0, 0) is the centre of the top-left pixel, as in OpenCV.
Landmarks are image-left first: eye, eye, nose, mouth corner, mouth corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from evaluation.files import verified

Pixels = NDArray[np.uint8]

# Same operating point as the check in weights/README.md of the data pack, where 43 of 43 faces were found.
MIN_SCORE = 0.6
YUNET_SHA256 = "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12"

# deepinsight/insightface, python-package/insightface/utils/face_align.py, `arcface_dst`, for a 112 x 112
# chip.
ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float64,
)


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one image as the judge sees them. All arrays share their first axis, N, which may be 0."""

    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, pixels, half-open
    landmarks: NDArray[np.float32]  # (N, 5, 2) x y
    scores: NDArray[np.float32]  # (N,) detector confidence in [0, 1]
    enlarged: bool  # found only after the picture was enlarged 2x

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.landmarks.shape != (n, 5, 2):
            raise ValueError(
                f"faces disagree: {self.boxes.shape}, {self.landmarks.shape}, {self.scores.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, index: int) -> Faces:
        chosen = slice(index, index + 1)
        return Faces(self.boxes[chosen], self.landmarks[chosen], self.scores[chosen], self.enlarged)


class PhotoUnreadable(ValueError):
    """A file that should hold a photo does not."""


def decode(path: Path) -> Pixels:
    """Upright (H, W, 3) RGB."""
    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    # Pillow raises SyntaxError on some damaged PNG files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PhotoUnreadable(f"{path}: not a readable photo ({error}). Nothing was judged.") from error


class YuNet:
    """OpenCV's YuNet at native size; enlarged 2x when nothing was found at native size.

    Source: Wu et al., Machine Intelligence Research 2023, https://doi.org/10.1007/s11633-023-1423-y.
    """

    def __init__(self, weights: Path, min_score: float = MIN_SCORE) -> None:
        self._detector = cv2.FaceDetectorYN.create(
            str(verified(weights, YUNET_SHA256)), "", (320, 320), min_score, 0.3, 5000
        )
        self.identity = f"{YUNET_SHA256} score {min_score} opencv {cv2.__version__} numpy {np.__version__}"

    def find(self, pixels: Pixels) -> Faces:
        rows = self._rows(pixels, 1)
        if len(rows):
            return _faces(rows, enlarged=False)
        return _faces(self._rows(pixels, 2), enlarged=True)

    def _rows(self, pixels: Pixels, enlargement: int) -> NDArray[np.float32]:
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        if enlargement > 1:
            bgr = cv2.resize(bgr, None, fx=enlargement, fy=enlargement, interpolation=cv2.INTER_CUBIC)
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = self._detector.detect(bgr)
        if rows is None:
            return np.zeros((0, 15), np.float32)
        scale = np.array([1 / enlargement] * 14 + [1], np.float32)
        return np.asarray(rows, np.float32) * scale


def _faces(rows: NDArray[np.float32], *, enlarged: bool) -> Faces:
    # x y w h, then five points that start with the subject's right eye, which is the image-left one.
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    return Faces(boxes, rows[:, 4:14].reshape(-1, 5, 2), rows[:, 14], enlarged)


def main_face(faces: Faces, size: tuple[int, int]) -> int | None:
    """The subject of a portrait: large and near the centre. `size` is (height, width)."""
    if not len(faces):
        return None
    centre = np.array([size[1] / 2, size[0] / 2])
    heights = faces.boxes[:, 3] - faces.boxes[:, 1]
    offsets = np.linalg.norm((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - centre, axis=1)
    # LFW crops are centred on the subject, bystanders sit at the rim: distance counts twice the height.
    return int(np.argmax(heights - 2 * offsets))


def face_at(faces: Faces, expected: NDArray[np.float32]) -> int | None:
    """The face at a known place, or None: another face in the picture must not stand in for a lost one."""
    if not len(faces):
        return None
    overlap = overlaps(faces.boxes, expected)
    best = int(np.argmax(overlap))
    return best if overlap[best] > 0.3 else None


def overlaps(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of (N, 4) boxes with one (4,) box: (N,)."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def similarity_transform(points: NDArray[np.float32], template: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) similarity that brings points (K, 2) to a template (K, 2) with least squared error.

    Source: Umeyama, IEEE TPAMI 13(4), 1991, eqs. 40 to 43.
    """
    source, target = np.asarray(points, np.float64), np.asarray(template, np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    source_centred, target_centred = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(target_centred.T @ source_centred / len(source))
    # A face is never mirrored to fit: the last axis flips back when the best orthogonal matrix is a
    # reflection.
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = (singular * signs).sum() / source_centred.var(0).sum()
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


def chip(pixels: Pixels, landmarks: NDArray[np.float32], size_px: int = 112) -> Pixels:
    """The aligned (size_px, size_px, 3) crop on the ArcFace template."""
    matrix = similarity_transform(landmarks, ARCFACE_TEMPLATE * (size_px / 112))
    return np.asarray(cv2.warpAffine(pixels, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR), np.uint8)
