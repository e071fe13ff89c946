"""Differentiable stand-ins for what happens to a picture between publishing and matching.

Blur, scaling down and up again, and small shifts are all linear and separable, so a whole chain of them is one
pair of matrices per chip: two batched matrix products forwards and two backwards, whatever the chain is.

Source of the method: Athalye et al., ICML 2018, https://arxiv.org/abs/1707.07397 (expectation over
transformation). Mixing a little of another picture in makes a change that misleads one network mislead others too:
Wang et al., ICCV 2021, https://arxiv.org/abs/2102.00436 (Admix). Ours mixes in the chip itself, upside down and
shifted, because a photo may hold one face only and other people's faces have no place in this package.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Ranges of the draws
BLUR_SIGMA_PX = (0.3, 1.5)  # on the chip
SHARE_RESCALED = 0.3
RESCALE = (0.4, 0.9)
GAIN, OFFSET = 0.05, 0.05  # brightness and contrast; no hue, platforms do not change it
NOISE = 0.01
MIRRORED = 0.5  # share
MIX = 0.2
MIX_SHIFT = (0.25, 0.75)  # of the chip's size


@dataclass(frozen=True, slots=True)
class Views:
    """One drawn transformation per chip."""

    rows: Tensor  # (N, S, S): a chip becomes rows @ chip @ columns^T
    columns: Tensor  # (N, S, S)
    mix: float  # share of the upside-down chip
    mix_shift_px: tuple[int, int]  # of it, down and right
    gain: Tensor  # (N, 1, 1, 1)
    offset: Tensor  # (N, 1, 1, 1)
    noise: Tensor  # (1, 3, S, S), the same for all chips: a million draws a step would cost a tenth of it


def draw(count: int, size_px: int, *, generator: torch.Generator, device: torch.device) -> Views:
    """Draw one view per chip, on the CPU so that a seed means the same on every device."""
    rows = _blur(size_px, _uniform(count, *BLUR_SIGMA_PX, generator))
    scale = _uniform(count, *RESCALE, generator)
    is_rescaled = torch.rand(count, generator=generator) < SHARE_RESCALED
    if bool(is_rescaled.any()):
        rows[is_rescaled] = _down_up(size_px, scale[is_rescaled]) @ rows[is_rescaled]
    is_mirrored = torch.rand(count, generator=generator) < MIRRORED
    columns = torch.where(is_mirrored[:, None, None], rows.flip(2), rows)
    down, right = (_uniform(2, *MIX_SHIFT, generator) * size_px).round().int().tolist()
    gain = 1 + _uniform(count, -GAIN, GAIN, generator)
    offset = _uniform(count, -OFFSET, OFFSET, generator)
    noise = NOISE * torch.randn((1, 3, size_px, size_px), generator=generator)
    return Views(
        rows.to(device), columns.to(device), MIX, (down, right), gain.view(-1, 1, 1, 1).to(device),
        offset.view(-1, 1, 1, 1).to(device), noise.to(device),
    )


def apply(chips: Tensor, views: Views) -> Tensor:
    """Chips (N, 3, S, S) in [0, 1] as seen through `views`; may leave [0, 1] a little."""
    other = chips.detach().flip(2).roll(views.mix_shift_px, (2, 3))
    rows = views.rows[:, None] * views.gain
    seen = rows @ torch.lerp(chips, other, views.mix) @ views.columns[:, None].transpose(-1, -2)
    return seen.add_(views.offset).add_(views.noise)


def blur(chips: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of (N, C, S, S)."""
    matrix = _blur(chips.shape[-1], torch.tensor([sigma_px])).to(chips)
    return matrix @ chips @ matrix.transpose(-1, -2)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _blur(size_px: int, sigma: Tensor) -> Tensor:
    """Gaussian blur of each `sigma` (N,) as matrices (N, size_px, size_px) whose rows sum to 1."""
    positions = torch.arange(size_px, dtype=torch.float32)
    distance = positions[:, None] - positions
    weights = torch.exp(-0.5 * (distance / sigma[:, None, None]) ** 2)
    return weights / weights.sum(2, keepdim=True)


def _down_up(size_px: int, scale: Tensor) -> Tensor:
    """Shrinking by `scale` (N,) in (0, 1) with a box filter and enlarging bilinearly, as (N, size_px, size_px)."""
    out = []
    for factor in scale.tolist():
        small = max(1, round(size_px * factor))
        step = size_px / small
        edges = torch.arange(small, dtype=torch.float32) * step
        pixels = torch.arange(size_px, dtype=torch.float32)
        # overlap of each source pixel with each small pixel
        overlap = torch.minimum(edges[:, None] + step, pixels + 1) - torch.maximum(edges[:, None], pixels)
        down = overlap.clamp_min(0) / step
        position = ((pixels + 0.5) / step - 0.5).clamp(0, small - 1)
        up = (1 - (position[:, None] - torch.arange(small, dtype=torch.float32)).abs()).clamp_min(0)
        out.append(up @ down)
    return torch.stack(out)
