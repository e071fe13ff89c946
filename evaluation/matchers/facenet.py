"""InceptionResnetV1 as packaged by facenet-pytorch; only where its file is, which comes with no package.

Preprocessing, stated here again from upstream (facenet-pytorch 2.5.3): MTCNN's box and a margin of 14 px of the 160 are
cut out (`models/utils/detect_face.py`, `extract_face`; margin of `examples/lfw_evaluate.ipynb`), resized by Pillow's
bilinear filter, and (x - 127.5) / 128 is taken (`models/mtcnn.py`, `fixed_image_standardization`). The judge's boxes
have YuNet's shape and are turned into MTCNN's first; see `evaluation/mtcnn.py`.

Nobody published the file's sha256: what is found is recorded, and not vouched for.

Source: Schroff et al., CVPR 2015, https://arxiv.org/abs/1503.03832. Weights: trained on VGGFace2.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.faces import Faces, Pixels
from evaluation.files import FileMismatch, FileMissing, sha256_of
from evaluation.matchers import Metric
from evaluation.mtcnn import own_boxes

# By key of the matcher: the file's name in upstream's release v2.2.9.
FILES = {
    "facenet_casia": "20180408-102900-casia-webface.pt",
    "facenet_vggface2": "20180402-114759-vggface2.pt",
}
SIZE_PX = 160
MARGIN_PX = 14
CLASSIFIER = {"logits.weight", "logits.bias"}  # of the training; templates do not need it


class FacenetMatcher:
    """One network on the CPU, one face at a time: the same bits every time."""

    metric: Metric = "cosine"

    def __init__(self, name: str, weights: Path) -> None:
        import torch
        from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1

        path = weights / FILES[name]
        if not path.is_file():
            raise FileMissing(f"{path}: no such file; the matcher {name} was not loaded.")
        values = torch.load(path, map_location="cpu", weights_only=True)
        with torch.device("meta"):  # drawing initial weights would move torch's global generator
            network = InceptionResnetV1(pretrained=None)
        try:
            missing, foreign = network.load_state_dict(values, strict=False, assign=True)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise FileMismatch(f"{path}: not InceptionResnetV1 ({error}). The file was not loaded.") from error
        if missing or set(foreign) - CLASSIFIER:
            raise FileMismatch(f"{path}: not InceptionResnetV1 ({[*missing, *foreign][0]}). The file was not loaded.")
        self._network: Any = network.eval().requires_grad_(False)
        self.name = name
        self.weights_sha256 = sha256_of(path)
        self.runtime = f"torch {torch.__version__} facenet-pytorch {metadata.version('facenet-pytorch')}"

    def embed(self, pixels: Pixels, faces: Faces) -> NDArray[np.float32]:
        """See `Matcher.embed`."""
        import torch

        picture = Image.fromarray(pixels)
        chips = np.stack([standardised(cut(picture, box)) for box in own_boxes(faces.boxes)])
        with torch.no_grad():
            rows = [self._network(torch.from_numpy(one[None])) for one in chips]
        return np.concatenate([row.numpy() for row in rows]).astype(np.float32)


def cut(picture: Image.Image, box: NDArray[np.float32]) -> Pixels:
    """The face in MTCNN's box (4,) with its margin, squeezed to (160, 160, 3)."""
    x1, y1, x2, y2 = box
    # The margin is counted in pixels of the chip, so a box is as much larger as the chip is than its inner part.
    wider, higher = (MARGIN_PX * side / (SIZE_PX - MARGIN_PX) / 2 for side in (x2 - x1, y2 - y1))
    inside = (
        int(max(x1 - wider, 0)),
        int(max(y1 - higher, 0)),
        int(min(x2 + wider, picture.width)),
        int(min(y2 + higher, picture.height)),
    )
    face = picture.crop(inside).resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)
    return np.asarray(face, np.uint8)


def standardised(chip: Pixels) -> NDArray[np.float32]:
    """(3, 160, 160) as the network wants it."""
    return np.ascontiguousarray(((chip.astype(np.float32) - 127.5) / 128.0).transpose(2, 0, 1))
