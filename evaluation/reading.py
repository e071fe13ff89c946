"""Files to faces and templates, each file once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation import matchers
from evaluation.cache import Table
from evaluation.faces import YUNET_SHA256, Faces, Pixels, YuNet, decode, face_at, main_face
from evaluation.files import sha256_of
from evaluation.gallery import Maker
from evaluation.hog import Hog
from evaluation.mtcnn import Mtcnn
from evaluation.samples import SamplesUnusable

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2

FIRST = "yunet"


class Detector(Protocol):
    """Finds the faces of one upright RGB picture."""

    identity: str  # everything that decides its answer, but for the source

    def find(self, pixels: Pixels) -> Faces: ...


class Reader:
    """Detects and embeds through the cache.

    Three detectors look: the first, YuNet, finds the faces that are embedded unless another is named.
    """

    def __init__(self, weights: Path, names: Sequence[str], cache: Path, further: Path | None = None) -> None:
        self._detectors: dict[str, Detector] = {
            FIRST: YuNet(weights / "yunet_n.onnx"), "hog": Hog(), "mtcnn": Mtcnn(),
        }  # fmt: skip
        self.folder = weights
        self.matchers = {name: matchers.load(name, weights, further) for name in names}
        here = Path(__file__).parent
        sources = {FIRST: ["faces.py"], "hog": ["faces.py", "hog.py", "matchers/dlib_cpp.py"],
                   "mtcnn": ["faces.py", "mtcnn.py"]}  # fmt: skip
        self._faces = {
            name: Table(
                cache,
                "faces" if name == FIRST else f"faces-{name}",
                detector.identity + "".join((here / source).read_text() for source in sources[name]),
            )
            for name, detector in self._detectors.items()
        }
        self._templates = {
            name: Table(cache, name, matchers.identity(m)) for name, m in self.matchers.items()
        }

    @property
    def detectors(self) -> tuple[str, ...]:
        return tuple(self._detectors)

    def detector(self, name: str = FIRST) -> Detector:
        """For pictures that are no files of their own, such as the frames of a clip."""
        return self._detectors[name]

    def find(self, path: Path, detector: str = FIRST) -> tuple[str, Faces, tuple[int, int]]:
        """Digest of the file, its faces, (height, width) of the picture."""
        digest = sha256_of(path)
        rows = self._faces[detector].get(digest)
        if rows is None:
            pixels = decode(path)
            rows = _pack(self._detectors[detector].find(pixels), pixels.shape[:2])
            self._faces[detector].put(digest, rows)
        return digest, *_unpack(rows)

    def finds(self, path: Path, expected: Box | None = None, detector: str = FIRST) -> bool:
        """Whether a detector sees the face that is expected there; without `expected`, any."""
        _, faces, size = self.find(path, detector)
        return _chosen(faces, size, expected) is not None

    def templates(
        self, path: Path, expected: Box | None = None, detector: str = FIRST
    ) -> dict[str, NDArray[np.float32]] | None:
        """(1, D) per matcher, or None when the face is not found; without `expected`, of the main face."""
        digest, faces, size = self.find(path, detector)
        index = _chosen(faces, size, expected)
        if index is None:
            return None
        # Templates of the first detector were cached before there was a second.
        key = f"{digest}:{index}" if detector == FIRST else f"{digest}:{self._faces[detector].path.stem}:{index}"
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

    def maker(self, name: str, detector: str = FIRST) -> Maker:
        """What the templates of one matcher were made by."""
        return Maker(name, self.matchers[name].weights_sha256, detector, self.matchers[name].metric)

    def weights(self) -> dict[str, str]:
        """sha256 of every network that takes part."""
        return {FIRST: YUNET_SHA256} | {name: m.weights_sha256 for name, m in self.matchers.items()}

    def save(self) -> None:
        for table in (*self._faces.values(), *self._templates.values()):
            table.save()


def _chosen(faces: Faces, size: tuple[int, int], expected: Box | None) -> int | None:
    return main_face(faces, size) if expected is None else face_at(faces, expected)


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
