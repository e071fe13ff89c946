"""Where pixels are: 2x3 matrices between photos, grids and chips, and the one differentiable warp.

Convention: points are (x, y) in pixels and (0, 0) is the centre of the top-left pixel, as in OpenCV. A matrix
A maps points forwards: `p_out = A[:, :2] @ p_in + A[:, 2]`. torch.grid_sample counts from pixel corners; only
`warp` below knows that.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]


def similarity(points: NDArray[np.floating], template: NDArray[np.floating]) -> Matrix:
    """The (2, 3) rotation, uniform scale and shift that bring (K, 2) `points` closest to `template`.

    Source: Umeyama, PAMI 1991, https://doi.org/10.1109/34.88573, eq. 40-43, without reflections.
    """
    source, target = np.asarray(points, np.float64), np.asarray(template, np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    source, target = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(target.T @ source)
    signs = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * signs) @ vt
    scale = (singular * signs).sum() / (source**2).sum()
    linear = scale * rotation
    return np.column_stack([linear, target_mean - linear @ source_mean])


def compose(first: Matrix, then: Matrix) -> Matrix:
    """The matrix that applies `first`, then `then`; both (..., 2, 3)."""
    linear = then[..., :2] @ first[..., :2]
    shift = (then[..., :2] @ first[..., 2:])[..., 0] + then[..., 2]
    return np.concatenate([linear, shift[..., None]], axis=-1)


def chain(first: Tensor, then: Tensor) -> Tensor:
    """`compose` for tensors: the matrix that applies `first`, then `then`; both (N, 2, 3)."""
    linear = then[:, :, :2] @ first[:, :, :2]
    return torch.cat([linear, then[:, :, :2] @ first[:, :, 2:] + then[:, :, 2:]], 2)


def invert(matrix: Matrix) -> Matrix:
    """The inverse of (..., 2, 3)."""
    linear = np.linalg.inv(matrix[..., :2])
    shift = -(linear @ matrix[..., 2:])[..., 0]
    return np.concatenate([linear, shift[..., None]], axis=-1)


def jitter(
    count: int, size_px: int, *, shift_px: float, degrees: float, scale: float, generator: torch.Generator
) -> Tensor:
    """Small random similarities (count, 2, 3) about the centre of a chip, on the CPU, drawn from `generator`.

    Uniform within +-`shift_px` on each axis, +-`degrees` and a factor of 1 +- `scale`.
    """
    draws = torch.rand((count, 4), generator=generator, dtype=torch.float64) * 2 - 1
    angle = draws[:, 0] * (degrees * torch.pi / 180)
    factor = 1 + draws[:, 1] * scale
    cos, sin = factor * angle.cos(), factor * angle.sin()
    centre = (size_px - 1) / 2
    shift = draws[:, 2:] * shift_px
    linear = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    offset = centre - linear.sum(2) * centre + shift
    return torch.cat([linear, offset[:, :, None]], 2)


def warp(pixels: Tensor, matrices: Tensor, size_px: int) -> Tensor:
    """Resample (N, C, H, W) into chips (N, C, size_px, size_px), differentiable in `pixels`.

    Args:
        matrices: (N, 2, 3), from chip points to points of `pixels` (the inverse of an alignment).
    Bilinear; what lies outside `pixels` is black, as in dlib's extract_image_chips.
    """
    height, width = pixels.shape[-2:]
    # In float64 until the end: half a pixel matters, and the matrices are tiny
    m = matrices.to(torch.float64)
    out_half, in_half = size_px / 2, torch.tensor([width / 2, height / 2], dtype=torch.float64, device=m.device)
    # grid_sample with align_corners=False: normalised = (pixel + 0.5) / (size / 2) - 1
    linear = m[:, :, :2] * out_half
    shift = m[:, :, :2].sum(2) * (out_half - 0.5) + m[:, :, 2]
    theta = torch.cat([linear / in_half[:, None], ((shift + 0.5) / in_half - 1)[:, :, None]], 2)
    grid = F.affine_grid(theta.to(pixels.dtype), [len(pixels), 1, size_px, size_px], align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
