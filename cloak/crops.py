"""How recognisers want a face cut out: where five landmarks lie in a square chip, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloak import geometry
from cloak.errors import SettingsInvalid
from cloak.geometry import Matrix


@dataclass(frozen=True, slots=True)
class Crop:
    """One way to cut a face out."""

    size_px: int
    template: NDArray[np.float64]  # (5, 2) eyes, nose tip, mouth corners in the chip, image-left first
    stretch: float = 1.0  # how much wider a chip shows a face than it is

    def matrix(self, landmarks: NDArray[np.floating]) -> Matrix:
        """(2, 3) from a photo with these landmarks (5, 2) to the chip: turned, scaled, shifted, then stretched."""
        narrow = geometry.similarity(landmarks, self.template / (self.stretch, 1.0))
        return geometry.compose(narrow, np.array([[self.stretch, 0.0, 0.0], [0.0, 1.0, 0.0]]))


# The five points that InsightFace aligns to, for a side of 112 (insightface/utils/face_align.py).
_ARCFACE = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]

# dlib's mean face (landmarks 36-41, 42-47, 30, 48 and 54 of 68) in the unit square, and its default padding.
_DLIB = [(0.225492, 0.215990), (0.754761, 0.215990), (0.490127, 0.515625), (0.254149, 0.780233), (0.726104, 0.780233)]
_DLIB_PADDING = 0.25

# facenet-pytorch cuts out MTCNN's upright box and squeezes it to a square (`extract_face` with its default margin of
# 0). A box hangs on one detector, our chips on landmarks that any detector gives. So these are the places of the
# landmarks in such boxes: medians over 200 portraits of LFW, made symmetric; and a box is 0.744 times as wide as high.
# Unlike the box, the chip shows a tilted head upright.
_FACENET = [(0.265, 0.391), (0.735, 0.391), (0.5, 0.592), (0.295, 0.760), (0.705, 0.760)]
_FACENET_STRETCH = 1 / 0.744

_CROPS = {
    "arcface112": Crop(112, np.array(_ARCFACE)),
    "dlib150": Crop(150, (np.array(_DLIB) + _DLIB_PADDING) / (1 + 2 * _DLIB_PADDING) * 150),
    "facenet160": Crop(160, np.array(_FACENET) * 160 - 0.5, _FACENET_STRETCH),
}


def crop(name: str, size_px: int | None = None) -> Crop:
    """The crop of that name, scaled to chips of another size where one is given.

    Raises:
        SettingsInvalid: there is none of that name.
    """
    if name not in _CROPS:
        raise SettingsInvalid(f"the crop is {name!r}; choose one of {', '.join(_CROPS)}")
    plain = _CROPS[name]
    scale = (size_px or plain.size_px) / plain.size_px
    # The first pixel's corner stays the chip's corner
    return Crop(size_px or plain.size_px, (plain.template + 0.5) * scale - 0.5, plain.stretch)
