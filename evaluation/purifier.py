"""A small network that learns to undo what a tool does to faces, from pairs of other people.

network = train(treated, clean, steps=600, seed=0)
restored = network.restore(crops)

The searcher runs the tool on photos of people of his own, learns the way back, and sends every probe through it before
his recogniser sees it. On cloaks that is called purifying; on blurs and mosaics it is deblurring by a network. What it
gives back is a picture, so it works in front of any recogniser.

Budget on one core: 0.13 s of processor time per step of 8 crops, so 400 steps are about 55 s, once for all probes, and
8 ms per probe. A searcher with a graphics card and a day does better: that it fails is no proof that none succeeds.

Source of the shape (a stack of convolutions that learns the difference): Zhang et al., IEEE TIP 26(7), 2017,
https://arxiv.org/abs/1608.03981; dilated as in https://arxiv.org/abs/1704.03264, because a blur reaches far.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.faces import ARCFACE_TEMPLATE, Faces, Pixels, similarity_transform
from evaluation.samples import SamplesUnusable

if TYPE_CHECKING:
    import torch

Crops = NDArray[np.uint8]  # (N, CROP_PX, CROP_PX, 3) RGB

# The ArcFace template at 1.25 times its size, near that of faces in LFW, and room for the wider chip of dlib.
SCALE = 1.25
CROP_PX = 176
CHANNELS = 48
DILATIONS = (1, 2, 4, 2, 1)
BATCH = 8
LEARNING_RATE = 2e-3


@dataclass(frozen=True, slots=True)
class Purifier:
    """A trained network and what the training cost."""

    network: Any  # torch module, (N, 3, H, W) in [0, 1] -> the change that restores it
    record: dict[str, Any]  # pairs, steps, loss before and after, cpu_s, seed

    def restore(self, crops: Crops) -> Crops:
        """The crops as they may have been, same shape; sides must be multiples of 4."""
        import torch

        with torch.no_grad():
            restored = [
                _bytes_of(one + self.network(one)) for one in (_tensor_of(crops[i : i + 1]) for i in range(len(crops)))
            ]
        return np.concatenate(restored) if restored else crops.copy()


def crop(pixels: Pixels, faces: Faces) -> tuple[Pixels, Faces]:
    """The upright (CROP_PX, CROP_PX, 3) picture of one face, and where the face is in it."""
    margin = (CROP_PX - 112 * SCALE) / 2
    matrix = similarity_transform(faces.landmarks[0], ARCFACE_TEMPLATE * SCALE + margin)
    size = (CROP_PX, CROP_PX)
    way = cv2.INTER_AREA if np.hypot(*matrix[0, :2]) < 0.6 else cv2.INTER_CUBIC
    picture = np.asarray(cv2.warpAffine(pixels, matrix, size, flags=way, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    points = faces.landmarks[0] @ matrix[:, :2].T + matrix[:, 2]
    # The box of a turned face stays as large as it was: its sides are scaled, its centre is moved.
    box = faces.boxes[0].reshape(2, 2)
    centre = box.mean(0) @ matrix[:, :2].T + matrix[:, 2]
    half = (box[1] - box[0]) / 2 * np.hypot(*matrix[0, :2])
    moved = np.concatenate([centre - half, centre + half])[None].astype(np.float32)
    return picture, Faces(moved, points[None].astype(np.float32), faces.scores[:1], faces.enlarged)


def train(treated: Crops, clean: Crops, *, steps: int, seed: int) -> Purifier:
    """Learn the way back, by the mean absolute error of the picture.

    Args:
        treated, clean: the same faces at the same places, row by row.
        steps: of `BATCH` pairs each, every other one mirrored.
    Raises:
        SamplesUnusable: no pairs, or rows that do not belong together.
    """
    import torch

    if treated.shape != clean.shape or not len(treated):
        raise SamplesUnusable(f"treated {treated.shape} and clean {clean.shape} are not pairs. Nothing was learnt.")
    started = time.process_time()
    # The weights are drawn from a generator of their own: global state stays as it was.
    network = _network(torch.Generator().manual_seed(seed))
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    draw = np.random.default_rng(seed)
    losses = []
    for _ in range(steps):
        rows = draw.integers(0, len(treated), min(BATCH, len(treated)))
        given, wanted = _tensor_of(treated[rows]), _tensor_of(clean[rows])
        given[::2], wanted[::2] = given[::2].flip(-1), wanted[::2].flip(-1)
        loss = (given + network(given) - wanted).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()) * 255)
    ends = max(min(20, len(losses) // 2), 1)
    return Purifier(network, {
        "pairs": len(treated),
        "steps": steps,
        "batch": BATCH,
        "mean_error_levels": {
            "untreated": float(np.abs(treated.astype(np.float32) - clean).mean()),
            "first_steps": float(np.mean(losses[:ends])) if losses else None,
            "last_steps": float(np.mean(losses[-ends:])) if losses else None,
        },
        "cpu_s": time.process_time() - started,
        "seed": seed,
    })


def _network(generator: torch.Generator) -> torch.nn.Module:
    """Convolutions on blocks of 4 x 4 pixels; before training it changes nothing."""
    from torch import nn
    from torch.nn.utils import skip_init

    layers: list[nn.Module] = [nn.PixelUnshuffle(4)]
    width = 3 * 16
    for dilation in DILATIONS:
        # Made without the usual drawing of weights, which would move the global generator
        layers += [skip_init(nn.Conv2d, width, CHANNELS, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        width = CHANNELS
    layers += [skip_init(nn.Conv2d, width, 3 * 16, 3, padding=1), nn.PixelShuffle(4)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    nn.init.zeros_(layers[-2].weight)  # type: ignore[arg-type]
    return nn.Sequential(*layers)


def _tensor_of(crops: Crops) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).float() / 255


def _bytes_of(pixels: torch.Tensor) -> Crops:
    return np.asarray((pixels.clamp(0, 1) * 255).round().byte().numpy().transpose(0, 2, 3, 1), np.uint8)
