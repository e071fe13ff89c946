"""dlib's ResNet-29 recogniser in dlib's own C++, from landmarks to descriptor (package dlib-bin).

Weights come from the package face_recognition_models (CC0). It is found without being imported: its
`__init__` needs pkg_resources, which current setuptools no longer has.

Similarity is minus the Euclidean distance, dlib's own rule (http://dlib.net/face_recognition.py.html: same
person below 0.6). Descriptors are not of unit length and their length says something: on 500 pairs of
pairs-dev.txt the best accuracy was 1.000 by distance and 0.996 by cosine.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import dlib
import numpy as np
from numpy.typing import NDArray

from evaluation.faces import Faces, Pixels
from evaluation.files import FileMismatch, verified
from evaluation.matchers import Metric

LANDMARKS = (
    "shape_predictor_5_face_landmarks.dat",
    "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
)
RECOGNISER = (
    "dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)

# dlib's landmark predictor expects the square of dlib's own detector, YuNet gives a tall box. Medians over
# 146 photos of lfw-dev where dlib's HOG detector found one face: side / YuNet height, and downward shift of
# the centre / height.
SIDE = 0.82
SHIFT_DOWN = 0.07


class DlibMatcher:
    """Landmarks, 150 px chip with padding 0.25 and 128-d descriptor, all by dlib."""

    name = "dlib_cpp"
    metric: Metric = "euclidean"

    def __init__(self) -> None:
        folder = models_folder()
        self._landmarks = dlib.shape_predictor(str(verified(folder / LANDMARKS[0], LANDMARKS[1])))
        self._recogniser = dlib.face_recognition_model_v1(
            str(verified(folder / RECOGNISER[0], RECOGNISER[1]))
        )
        self.weights_sha256 = RECOGNISER[1]
        self.runtime = f"dlib {dlib.__version__}"

    def embed(self, pixels: Pixels, faces: Faces) -> NDArray[np.float32]:
        """See `Matcher.embed`; rows are dlib's descriptors as they are, about 1.4 long."""
        pixels = np.ascontiguousarray(pixels)
        chips = []
        for box in faces.boxes:
            shape = self._landmarks(pixels, dlib_rectangle(box))
            chips.append(dlib.get_face_chip(pixels, shape, size=150, padding=0.25))
        return np.array([self._recogniser.compute_face_descriptor(chip) for chip in chips], np.float32)


def dlib_rectangle(box: NDArray[np.float32]) -> dlib.rectangle:
    """The square dlib's detector would give for a YuNet box (4,)."""
    height = float(box[3] - box[1])
    centre_x = float(box[0] + box[2]) / 2
    centre_y = float(box[1] + box[3]) / 2 + SHIFT_DOWN * height
    half = SIDE * height / 2
    corners = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
    return dlib.rectangle(*(round(value) for value in corners))


def models_folder() -> Path:
    """Where the installed package face_recognition_models keeps its files."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise FileMismatch(
            "the package face_recognition_models is not installed: pip install face_recognition_models."
        )
    return Path(package.submodule_search_locations[0]) / "models"
