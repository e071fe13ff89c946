"""What a tool did to faces, undone as far as it can be learnt from pairs of other people.

purifier = train(treated, clean, recogniser, passes=10)
restored = purifier.restore(crops)

The searcher runs the tool on photos of people of his own, learns the way back, and sends every probe through it before
his recogniser sees it. On cloaks that is called purifying; on blurs and mosaics it is deblurring by a network. What it
gives back is a picture, so it works in front of any recogniser.

It is one layer of weights on features of each block of 4 x 4 pixels and its neighbours. First the weights of least
squared error of the picture, in closed form; then passes in which they follow the gradient of a recogniser that the
searcher can differentiate, so that its templates of restored faces approach those of the clean ones. A fifth of the
people is held out; the pass after which theirs are told apart best is kept. A stack of convolutions trained by steps,
which stood here before, did not lower its error within minutes of one core: 3.16 levels before and 3.19 after 400.

Of 14 held-out people under `balanced`, 70 pairs in all, 12 passes: mated cosines by MobileFaceNet rose from 2.3 to 4.7
standard deviations above those of strangers (2.9 after the closed form alone); the picture went from 5.5 levels (root
mean square) to 5.0 by the closed form and to 7.7 by the passes, for it is the recogniser that they serve.

Budget on one core for 70 pairs: about 15 s of processor time for the closed form and 6 s a pass, once for all probes. A
searcher with a graphics card and a day does better: that this fails is no proof that nothing succeeds.

Source of the second part: natural gradient, Amari, Neural Computation 10(2), 1998, with the covariance of the features
as the metric. The limited features are the shrinkage of denoisers: Donoho, IEEE Trans. Inf. Theory 41(3), 1995.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.differentiable import Recogniser
from evaluation.faces import ARCFACE_TEMPLATE, Faces, Pixels, similarity_transform
from evaluation.samples import SamplesUnusable

if TYPE_CHECKING:
    import torch

Crops = NDArray[np.uint8]  # (N, side, side, 3) RGB

# The ArcFace template at 1.25 times its size, near that of faces in LFW, and room for the wider chip of dlib.
SCALE = 1.25
CROP_PX = 176
MARGIN_PX = (CROP_PX - 112 * SCALE) / 2

BLOCK_PX = 4
LIMITS = (0.02, 0.06)  # of 1: what is weaker than a line of a cloak, and what is about as strong
REACH = 4  # blocks to each side whose mean colours count; sharper detail reaches one block
RIDGE = 1e-4  # share of the features' mean square
HELD_OUT = 5  # one of so many
STEP_LEVELS = 0.3  # root mean square of the change by one pass, of 255
MOMENTUM = 0.5
BATCH = 8


@dataclass(frozen=True, slots=True)
class Purifier:
    """What was learnt, and what that cost."""

    weights: Any  # tensor (features, BLOCK_PX ** 2 * 3): the change that restores a block
    record: dict[str, Any]  # pairs, passes, errors before and after on held-out people, cpu_s

    def restore(self, crops: Crops) -> Crops:
        """The crops as they may have been, same shape; sides must be multiples of 4."""
        import torch

        with torch.no_grad():
            restored = [_bytes_of(_restored(_tensor_of(part), self.weights)) for part in _parts(crops)]
        return np.concatenate(restored) if restored else crops.copy()


def crop(pixels: Pixels, faces: Faces) -> tuple[Pixels, Faces]:
    """The upright (CROP_PX, CROP_PX, 3) picture of one face, and where the face is in it."""
    matrix = similarity_transform(faces.landmarks[0], ARCFACE_TEMPLATE * SCALE + MARGIN_PX)
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


def train(treated: Crops, clean: Crops, recogniser: Recogniser | None = None, *, passes: int = 0) -> Purifier:
    """Learn the way back. Nothing is drawn: the same pairs give the same purifier.

    Args:
        treated, clean: the same faces at the same places, row by row, cut out by `crop`.
        recogniser: whose templates of restored faces shall be those of the clean ones; None: pixels alone.
        passes: over the pairs, along that recogniser's gradient.
    Raises:
        SamplesUnusable: no pairs, rows that do not belong together, or too few to hold some out.
    """
    import torch

    if treated.shape != clean.shape or not len(treated):
        raise SamplesUnusable(f"treated {treated.shape} and clean {clean.shape} are not pairs. Nothing was learnt.")
    started = time.process_time()
    held_out = np.arange(len(treated)) % HELD_OUT == HELD_OUT - 1
    if recogniser and held_out.sum() < 2:
        raise SamplesUnusable(f"{len(treated)} pairs: {2 * HELD_OUT} are needed to hold two out. Nothing was learnt.")
    learnt = (treated[~held_out], clean[~held_out])
    other = (treated[held_out], clean[held_out])
    covariance, crossed = _moments(*learnt)
    penalty = RIDGE * float(covariance.diagonal().mean()) * torch.eye(len(covariance), dtype=torch.float64)
    inverse = torch.linalg.inv(covariance + penalty)
    weights = (inverse @ crossed).float()
    untreated = torch.zeros_like(weights)
    record: dict[str, Any] = {"pairs": len(treated), "held_out": int(held_out.sum()), "passes": 0}
    if not recogniser:
        shown = other if held_out.any() else learnt
        record["errors"] = {"untreated": _errors(*shown, untreated), "restored": _errors(*shown, weights)}
        return Purifier(weights, record | {"cpu_s": time.process_time() - started})
    errors = [_errors(*other, one, recogniser) for one in (untreated, weights)]
    best, kept, momentum = len(errors) - 1, weights, torch.zeros_like(weights)
    with torch.no_grad():
        targets = torch.cat([recogniser(_chips(_tensor_of(part))) for part in _parts(learnt[1])])
    for _ in range(passes):
        step = (inverse @ _gradient(learnt[0], targets, weights, recogniser)).float()
        levels = 255 * float(((covariance @ step.double()) * step).sum() / step.shape[1]) ** 0.5
        momentum = MOMENTUM * momentum + step * (STEP_LEVELS / max(levels, 1e-9))
        weights = weights + momentum
        errors.append(_errors(*other, weights, recogniser))
        if errors[-1]["apart"] > errors[best]["apart"]:
            best, kept = len(errors) - 1, weights
    return Purifier(kept, record | {
        "recogniser": recogniser.name,
        "passes": passes,
        "passes_kept": best - 1,
        "errors": {"untreated": errors[0], "closed_form": errors[1], "restored": errors[best]},
        "cpu_s": time.process_time() - started,
    })


def _features(pixels: torch.Tensor) -> torch.Tensor:
    """(N * blocks, features) of (N, 3, H, W) in [0, 1]: the cosines of each block and the eight around it, as they are
    and limited; the mean colours further around; and a constant."""
    import torch
    from torch.nn import functional

    blocks = functional.pixel_unshuffle(pixels - 0.5, BLOCK_PX)
    cosines = torch.einsum("ab,nbhw->nahw", _cosines(), blocks)
    near = [cosines, *(cosines.clamp(-limit, limit) for limit in LIMITS)]
    parts = [functional.unfold(functional.pad(one, (1,) * 4, mode="replicate"), 3) for one in near]
    means = functional.avg_pool2d(pixels - 0.5, BLOCK_PX)
    parts.append(functional.unfold(functional.pad(means, (REACH,) * 4, mode="replicate"), 2 * REACH + 1))
    parts.append(torch.ones_like(parts[0][:, :1]))
    return torch.cat(parts, dim=1).transpose(1, 2).flatten(0, 1)


def _cosines() -> torch.Tensor:
    """(48, 48): from the pixels of a block, as `pixel_unshuffle` lists them, to the cosine transform of its luma and
    two differences of colour (ITU-R BT.601)."""
    import torch

    k, n = np.mgrid[:BLOCK_PX, :BLOCK_PX]
    waves = np.sqrt(np.where(k == 0, 1, 2) / BLOCK_PX) * np.cos(np.pi * (2 * n + 1) * k / (2 * BLOCK_PX))
    colours = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    return torch.from_numpy(np.kron(colours, np.kron(waves, waves))).float()


def _restored(pixels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W), not limited to [0, 1]."""
    from torch.nn import functional

    count, _, height, width = pixels.shape
    change = (_features(pixels) @ weights).reshape(count, -1, weights.shape[1]).transpose(1, 2)
    folded = change.reshape(count, -1, height // BLOCK_PX, width // BLOCK_PX)
    return pixels + functional.pixel_shuffle(folded, BLOCK_PX)


def _moments(treated: Crops, clean: Crops) -> tuple[torch.Tensor, torch.Tensor]:
    """Means over all blocks of feature times feature, and of feature times what restores the block."""
    import torch
    from torch.nn import functional

    square, crossed, count = torch.zeros(()), torch.zeros(()), 0
    for given, wanted in zip(_parts(treated), _parts(clean), strict=True):
        x = _tensor_of(given)
        features = _features(x)
        change = functional.pixel_unshuffle(_tensor_of(wanted) - x, BLOCK_PX).flatten(2).transpose(1, 2).flatten(0, 1)
        square, crossed = square + (features.T @ features).double(), crossed + (features.T @ change).double()
        count += len(features)
    return square / count, crossed / count


def _gradient(
    treated: Crops, targets: torch.Tensor, weights: torch.Tensor, recogniser: Recogniser
) -> torch.Tensor:
    """Mean over all blocks of feature times the direction in which templates approach their targets."""
    import torch
    from torch.nn import functional

    total, count = torch.zeros(()), 0
    for number, given in enumerate(_parts(treated)):
        x = _tensor_of(given)
        with torch.no_grad():
            features = _features(x)
        restored = _restored(x, weights).detach().requires_grad_()
        alike = (recogniser(_chips(restored)) * targets[number * BATCH : number * BATCH + len(x)]).sum()
        (direction,) = torch.autograd.grad(alike, restored)
        blocks = functional.pixel_unshuffle(direction, BLOCK_PX).flatten(2).transpose(1, 2).flatten(0, 1)
        total, count = total + (features.T @ blocks).double(), count + len(features)
    return total / count


def _errors(
    treated: Crops, clean: Crops, weights: torch.Tensor, recogniser: Recogniser | None = None
) -> dict[str, float]:
    """How far restored faces are from clean ones: in levels of 255 and, by the recogniser, in templates.

    `distance` is one less the mean cosine of a face with its own clean one; `apart` is how far these cosines lie above
    those with other people's clean faces, in standard deviations of the latter.
    """
    import torch

    squares, restored, wanted = 0.0, [], []
    with torch.no_grad():
        for given, one in zip(_parts(treated), _parts(clean), strict=True):
            back, target = _restored(_tensor_of(given), weights).clamp(0, 1), _tensor_of(one)
            squares += float(((back - target) ** 2).mean(dim=(1, 2, 3)).sum())
            if recogniser:
                restored.append(recogniser(_chips(back)))
                wanted.append(recogniser(_chips(target)))
    errors = {"rms_levels": 255 * (squares / len(treated)) ** 0.5}
    if recogniser:
        cosines = (torch.cat(restored) @ torch.cat(wanted).T).numpy().astype(np.float64)
        others = cosines[~np.eye(len(cosines), dtype=bool)]
        own = float(np.diag(cosines).mean())
        errors |= {"distance": 1 - own, "apart": (own - float(others.mean())) / max(float(others.std()), 1e-9)}
    return errors


def _chips(crops: torch.Tensor) -> torch.Tensor:
    """(N, 3, 112, 112) on the ArcFace template, of crops by `crop`; smaller ones are shown as they are."""
    import torch
    from torch.nn import functional

    side = crops.shape[-1]
    if side != CROP_PX:
        return functional.interpolate(crops, (112, 112), mode="bilinear")
    # (0, 0) is the centre of the first pixel, and grid_sample counts from its corner.
    at = (2 * (torch.arange(112) * SCALE + MARGIN_PX) + 1) / side - 1
    grid = torch.stack(torch.meshgrid(at, at, indexing="ij")[::-1], dim=-1)
    return functional.grid_sample(crops, grid.expand(len(crops), -1, -1, -1), mode="bilinear", align_corners=False)


def _parts(crops: Crops) -> Iterator[Crops]:
    return (crops[first : first + BATCH] for first in range(0, len(crops), BATCH))


def _tensor_of(crops: Crops) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).float() / 255


def _bytes_of(pixels: torch.Tensor) -> Crops:
    return np.asarray((pixels.clamp(0, 1) * 255).round().byte().numpy().transpose(0, 2, 3, 1), np.uint8)
