"""MTCNN by facenet-pytorch's own class, the judge's third opinion on whether there is a face.

Three small networks on an image pyramid, trained on WIDER FACE and CelebA; older than YuNet and fond of frontal faces.
The engine has a detector over the same networks by code of its own: what it protects, this one mostly sees too, so it
counts as no held-out detector.

Source: Zhang et al., IEEE SPL 2016, https://arxiv.org/abs/1604.02878; facenet-pytorch 2.5.3, `models/mtcnn.py`.
"""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.faces import Faces, Pixels
from evaluation.files import FileMismatch, verified

NETWORKS = {
    "pnet.pt": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet.pt": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet.pt": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}

# Of its boxes against YuNet's: medians over the main face of 382 photos of lfw-dev, every 20th; deviations are 0.04.
# Their centres agree within 0.006 of the height, their landmarks within 0.014.
HEIGHT = 0.952  # of YuNet's height
WIDTH = 0.718  # of YuNet's height
ASPECT = 0.725  # width / height of YuNet's boxes

# The smallest level of its pyramid needs more than 12 px at its smallest face of 20.
MIN_SIDE_PX = 21


class Mtcnn:
    """Upstream's defaults (from 20 px, thresholds .6 .7 .7) at native size; enlarged 2x when nothing was found."""

    def __init__(self) -> None:
        folder = _package() / "data"
        for name, digest in NETWORKS.items():
            verified(folder / name, digest)
        libraries = ("facenet-pytorch", "torch", "opencv-python")
        versions = " ".join(f"{name} {metadata.version(name)}" for name in libraries)
        self.identity = f"mtcnn {' '.join(NETWORKS.values())} {versions}"
        self._network: Any = None

    def find(self, pixels: Pixels) -> Faces:
        """Boxes have the shape of YuNet's: everything behind a detector expects them."""
        found = self._find(pixels, 1)
        return found if len(found) else self._find(pixels, 2)

    def _find(self, pixels: Pixels, enlargement: int) -> Faces:
        if enlargement > 1:
            pixels = np.asarray(
                cv2.resize(pixels, None, fx=enlargement, fy=enlargement, interpolation=cv2.INTER_CUBIC), np.uint8
            )
        nothing = np.zeros(0, np.float32)
        nobody = Faces(nothing.reshape(0, 4), nothing.reshape(0, 5, 2), nothing, enlargement > 1)
        if min(pixels.shape[:2]) < MIN_SIDE_PX:
            return nobody
        boxes, scores, landmarks = self._loaded().detect(np.ascontiguousarray(pixels), landmarks=True)
        if boxes is None:
            return nobody
        scale = np.float32(enlargement)
        return Faces(
            tall_boxes(np.asarray(boxes.tolist(), np.float32)) / scale,
            np.asarray(landmarks.tolist(), np.float32) / scale,
            np.asarray(scores.tolist(), np.float32),
            enlargement > 1,
        )

    def _loaded(self) -> Any:
        """The networks, at the first picture: torch costs seconds, and not every run asks this detector."""
        if self._network is None:
            import torch
            from facenet_pytorch.models.mtcnn import MTCNN

            # Upstream unpickles its files itself; their bytes were found to be the known ones above. It also draws
            # weights first, which must not move anybody's random numbers.
            with torch.random.fork_rng(devices=[]):
                self._network = MTCNN(keep_all=True, device=torch.device("cpu"))
        return self._network


def tall_boxes(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The boxes YuNet would give for MTCNN's, (N, 4) each."""
    heights = (boxes[:, 3] - boxes[:, 1]) / HEIGHT
    half = np.stack([ASPECT * heights, heights], axis=1) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)


def own_boxes(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The boxes MTCNN would give for YuNet's, (N, 4) each: for recognisers that were trained on MTCNN's crops."""
    heights = boxes[:, 3] - boxes[:, 1]
    half = np.stack([WIDTH * heights, HEIGHT * heights], axis=1) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)


def _package() -> Path:
    """Where the installed package facenet_pytorch lies, without importing it."""
    package = importlib.util.find_spec("facenet_pytorch")
    if package is None or not package.submodule_search_locations:
        raise FileMismatch("the package facenet-pytorch is not installed: pip install facenet-pytorch.")
    return Path(package.submodule_search_locations[0])
