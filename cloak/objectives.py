"""Losses on embeddings, and the place they look at: a surrogate's own alignment of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cloak import eot, geometry
from cloak.surrogates import Surrogate

# Far more than two detectors disagree: what survives this does not hang on one network's view either.
# evaluation/results/tuning.json: the first doubling, with less momentum, took the mean cosine of an unseen recogniser
# to the mates from .234 to .204; half as much again as this gained nothing.
JITTER_SHIFT, JITTER_DEGREES, JITTER_SCALE = 0.033, 10.0, 0.15
_ANCHOR_BLUR_PX = 1.2


def anchor(surrogate: Surrogate, pixels: Tensor, matrices: Tensor) -> Tensor:
    """What a person looks like to the surrogate: unit (N, D), mean over the face, its mirror image and a blurred one.

    Args:
        pixels: (N, 3, H, W) RGB in [0, 1].
        matrices: (N, 2, 3) from chip points to grid points.
    """
    chips = geometry.warp(pixels, matrices, surrogate.size_px)
    views = [surrogate.embed(view) for view in (chips, chips.flip(3), eot.blur(chips, _ANCHOR_BLUR_PX))]
    return F.normalize(torch.stack(views).mean(0), dim=1)


def similarity(surrogate: Surrogate, pixels: Tensor, matrices: Tensor, anchors: Tensor) -> Tensor:
    """Cosine (N,) of each face to its anchor, seen through the plain alignment."""
    return (surrogate.embed(geometry.warp(pixels, matrices, surrogate.size_px)) * anchors).sum(1)


def away_from(
    anchors: Sequence[Tensor], surrogates: Sequence[Surrogate], matrices: Sequence[Tensor], generator: torch.Generator
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss: mean over surrogates of the cosine to the anchor, through a jittered alignment and one random view.

    Args:
        anchors: per surrogate (N, D).
        matrices: per surrogate (N, 2, 3), float64, from chip points to grid points.
        generator: on the CPU, so that a seed draws the same views on every device.

    A plain mean, though recognisers count on scales of their own. Made against dlib_resnet29 and mobilefacenet, 16
    faces had a mean cosine to their mates of .017 in edgeface_xxs (clean: .571; dlib alone: .192); weighting each by
    the inverse square root of how far its threshold lies below 1, which gives dlib three times the say, left .042.
    """

    def loss(pixels: Tensor, rows: Tensor) -> Tensor:
        total = pixels.new_zeros(len(pixels))
        for surrogate, anchor_, matrix in zip(surrogates, anchors, matrices, strict=True):
            size = surrogate.size_px
            shake = geometry.jitter(
                len(pixels), size, shift_px=JITTER_SHIFT * size, degrees=JITTER_DEGREES, scale=JITTER_SCALE,
                generator=generator,
            ).to(matrix)
            chips = geometry.warp(pixels, geometry.chain(shake, matrix[rows]), size)
            views = eot.draw(len(pixels), size, generator=generator, device=pixels.device)
            total = total + (surrogate.embed(eot.apply(chips, views)) * anchor_[rows]).sum(1)
        return total / len(surrogates)

    return loss
