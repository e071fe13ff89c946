"""Files to faces and templates, each file once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation import matchers
from evaluation.cache import Table
from evaluation.faces import YUNET_SHA256, Faces, Pixels, YuNet, decode, face_at, main_face
from evaluation.files import sha256_of
from evaluation.gallery import Maker
from evaluation.samples import SamplesUnusable

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2


class Reader:
    """Detects and embeds through the cache."""

    def __init__(self, weights: Path, names: Sequence[str], cache: Path) -> None:
        self.detector = YuNet(weights / "yunet_n.onnx")
        self.matchers = {name: matchers.load(name, weights) for name in names}
        source = Path(__file__).with_name("faces.py").read_text()
        self._faces = Table(cache, "faces", self.detector.identity + source)
        self._templates = {
            name: Table(cache, name, matchers.identity(m)) for name, m in self.matchers.items()
        }

    def find(self, path: Path) -> tuple[str, Faces, tuple[int, int]]:
        """Digest of the file, its faces, (height, width) of the picture."""
        digest = sha256_of(path)
        rows = self._faces.get(digest)
        if rows is None:
            pixels = decode(path)
            rows = _pack(self.detector.find(pixels), pixels.shape[:2])
            self._faces.put(digest, rows)
        return digest, *_unpack(rows)

    def templates(self, path: Path, expected: Box | None = None) -> dict[str, NDArray[np.float32]] | None:
        """(1, D) per matcher, or None when the face is not found; without `expected`, of the main face."""
        digest, faces, size = self.find(path)
        index = main_face(faces, size) if expected is None else face_at(faces, expected)
        if index is None:
            return None
        key = f"{digest}:{index}"
        pixels: Pixels | None = None
        found = {}
        for name, table in self._templates.items():
            template = table.get(key)
            if template is None:
                pixels = decode(path) if pixels is None else pixels
                template = self.matchers[name].embed(pixels, faces.only(index))
                table.put(key, template)
            found[name] = template
        return found

    def main_box(self, path: Path) -> Box:
        """(4,) of the main face of a file in which one is known to be found."""
        _, faces, size = self.find(path)
        index = main_face(faces, size)
        if index is None:
            raise SamplesUnusable(f"{path}: no face found.")
        return np.asarray(faces.boxes[index], np.float32)

    def maker(self, name: str) -> Maker:
        """What the templates of one matcher were made by."""
        return Maker(name, self.matchers[name].weights_sha256, "yunet", self.matchers[name].metric)

    def weights(self) -> dict[str, str]:
        """sha256 of every network that takes part."""
        return {"yunet": YUNET_SHA256} | {name: m.weights_sha256 for name, m in self.matchers.items()}

    def save(self) -> None:
        for table in (self._faces, *self._templates.values()):
            table.save()


def _pack(faces: Faces, size: tuple[int, int]) -> NDArray[np.float32]:
    """One row per face after a first row that holds height, width and `enlarged`."""
    rows = np.zeros((1 + len(faces), 15), np.float32)
    rows[0, :3] = *size, faces.enlarged
    rows[1:] = np.concatenate([faces.boxes, faces.landmarks.reshape(-1, 10), faces.scores[:, None]], axis=1)
    return rows


def _unpack(rows: NDArray[np.float32]) -> tuple[Faces, tuple[int, int]]:
    faces = rows[1:]
    return (
        Faces(faces[:, :4], faces[:, 4:14].reshape(-1, 5, 2), faces[:, 14], bool(rows[0, 2])),
        (int(rows[0, 0]), int(rows[0, 1])),
    )
