"""MTCNN as packaged by facenet-pytorch: small, MIT, weights in the wheel, landmarks included.

Source: Zhang et al., IEEE SPL 2016, https://arxiv.org/abs/1604.02878; the cascade itself is
`facenet_pytorch.models.utils.detect_face.detect_face` (facenet-pytorch 2.5.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from facenet_pytorch.models.utils.detect_face import detect_face

from cloak import weights
from cloak.types import Faces, Pixels

MIN_FACE_PX = 20
# Proposal, refinement, output. facenet-pytorch's defaults are .6 .7 .7.
_THRESHOLDS = (0.6, 0.7, 0.7)
_PYRAMID_FACTOR = 0.709
_MIN_SIDE_PX = 20  # below this there is no pyramid level at all


class Mtcnn:
    """`Detector` over facenet-pytorch's cascade."""

    name = "mtcnn"

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._nets = []
        for make, file in ((PNet, "mtcnn_pnet"), (RNet, "mtcnn_rnet"), (ONet, "mtcnn_onet")):
            # pretrained=False: the package would torch.load its files itself, unverified
            with torch.device("meta"):  # or drawing initial weights would move torch's global generator
                net = make(pretrained=False)
            state = torch.load(weights.locate(file), map_location="cpu", weights_only=True)
            net.load_state_dict(state, assign=True)
            self._nets.append(net.eval().requires_grad_(False).to(device))

    @torch.no_grad()
    def detect(self, pictures: Sequence[Pixels]) -> list[Faces]:
        """See `Detector`. Pictures of one size share a batch."""
        found: list[Faces] = [Faces.none()] * len(pictures)
        by_size: dict[tuple[int, ...], list[int]] = {}
        for i, picture in enumerate(pictures):
            if min(picture.shape[:2]) > _MIN_SIDE_PX:
                by_size.setdefault(picture.shape, []).append(i)
        for indices in by_size.values():
            batch = np.stack([pictures[i] for i in indices])
            boxes, landmarks = detect_face(
                batch, MIN_FACE_PX, *self._nets, _THRESHOLDS, _PYRAMID_FACTOR, self._device
            )
            for i, box, points in zip(indices, boxes, landmarks, strict=True):
                box = np.asarray(box, np.float32).reshape(-1, 5)
                order = np.argsort(-box[:, 4], kind="stable")
                found[i] = Faces(
                    box[order, :4], np.asarray(points, np.float32).reshape(-1, 5, 2)[order], box[order, 4]
                )
        return found


def load(device: torch.device) -> Mtcnn:
    """The detector on `device`."""
    return Mtcnn(device)
