"""Momentum steps under an L2-shaped budget, in luma alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cloak.attacks import Loss

# 1 gave the surrogate more and unseen recognisers less
MOMENTUM = 0.5
# First step as a share of the radius
FIRST_STEP = 0.4


def perturb(
    loss: Loss,
    pixels: Tensor,
    amplitude: Tensor,
    *,
    radius: float,
    peak: float,
    steps: int,
    judge: Loss | None = None,
    goal: float = -math.inf,
    judge_every: int = 10,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The change of brightness within the budget that makes `loss` small.

    Colour is left alone: at equal protection of unseen recognisers a change that may also move chroma is no less
    visible, it can leave coloured spots, 4:2:0 destroys it, and it costs three times the memory traffic.

    Args:
        loss: differentiable and possibly random; its gradient is followed.
        pixels: (N, 3, H, W) RGB in [0, 1].
        amplitude: (N, 1, H, W) >= 0; how much of a step each pixel takes, 0 where nothing may change.
        radius: largest root mean square of delta / amplitude over the pixels that may change; [0, 1] scale. Where
            a change is hidden well, more of it is allowed.
        peak: largest change of any value, on the [0, 1] scale.
        judge: deterministic; decides which step is the best one and which pictures are finished. Default: `loss`.
        goal: a picture whose judged value is at most this is finished and leaves the batch.
        judge_every: steps between two judgements; the last step is always judged.
        on_step: called with (step, pictures still in the batch).
    Returns:
        delta (N, 3, H, W), the same for R, G and B but where [0, 1] ends; `pixels + delta` stays in [0, 1]. By the
        judge never worse than no change.
    Source: momentum after Dong et al., CVPR 2018, https://arxiv.org/abs/1710.06081, eq. 6, with the L1 norm and the
        sign replaced by L2 ones (their section 3.3).
    """
    judge = judge or loss
    best = torch.zeros_like(pixels)
    rows = torch.arange(len(pixels), device=pixels.device)
    with torch.no_grad():
        best_value = judge(pixels, rows)
    rows = rows[amplitude.flatten(1).any(1) & (best_value > goal)]
    # Everything below holds only the pictures still in the batch, aligned with `rows`.
    picture, weight = pixels[rows], amplitude[rows]
    latent = torch.zeros_like(weight)  # delta / amplitude
    velocity = torch.zeros_like(weight)
    limit = peak / weight.clamp_min(1e-6)
    reach = (weight > 0).sum((1, 2, 3), keepdim=True).sqrt()  # from a root mean square to a norm
    for step in range(1, steps + 1):
        if not len(rows):
            break
        latent.requires_grad_(True)
        # Not clamped to [0, 1] here: the few values beyond would lose their gradient and never come back
        (gradient,) = torch.autograd.grad(loss(picture + weight * latent, rows).sum(), latent)
        with torch.no_grad():
            latent = latent.detach()
            velocity = MOMENTUM * velocity + gradient / _norm(gradient)
            size = FIRST_STEP * radius * (0.5 + 0.5 * math.cos(math.pi * (step - 1) / steps))
            latent -= velocity * (size * reach / _norm(velocity))
            latent *= (radius * reach / _norm(latent)).clamp_max(1)
            torch.clamp(latent, -limit, limit, out=latent)
            if on_step:
                on_step(step, len(rows))
            if step % judge_every and step != steps:
                continue
            changed = (picture + weight * latent).clamp(0, 1)
            value = judge(changed, rows)
            improved = value < best_value[rows]
            best[rows[improved]] = (changed - picture)[improved]
            best_value[rows[improved]] = value[improved]
            if bool((is_open := value > goal).all()):
                continue
            rows, picture, weight = rows[is_open], picture[is_open], weight[is_open]
            latent, velocity, limit, reach = latent[is_open], velocity[is_open], limit[is_open], reach[is_open]
    return best


def _norm(x: Tensor) -> Tensor:
    """L2 norm of each picture, (N, 1, 1, 1), never 0."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)
    return norm.clamp_min(1e-20)
