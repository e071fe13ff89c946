"""What every attack in `cloak/attacks` promises. A new file there is tested by being there."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cloak import attacks
from cloak.attacks import l2_momentum

SIDE = 12
RADIUS, PEAK = 6 / 255, 24 / 255


@pytest.fixture(params=attacks.available())
def perturb(request):
    return importlib.import_module(f"cloak.attacks.{request.param}").perturb


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(count=3, seed=1):
    """All of the range, pure black and white among it, so that clipping has work."""
    return (torch.rand((count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(seed)) * 1.4 - 0.2).clamp(0, 1)


def grey(count=3):
    return torch.full((count, 3, SIDE, SIDE), 0.5)


def disc(count=3):
    """Feathered, and uneven as texture makes it; zero in the corners."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    radius = ((x - 5.5) ** 2 + (y - 5.5) ** 2).sqrt() / 6
    uneven = 0.4 + 1.2 * torch.rand((count, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(4))
    return (1.2 - radius).clamp(0, 1) * uneven * (radius < 1)


def full(count=3):
    return torch.ones(count, 1, SIDE, SIDE)


def curved(seed=2):
    """A loss with bends, per picture, the same at every call."""
    first, second = noise(6, 3, 5, 5, seed=seed) / 4, noise(6, seed=seed + 1)

    def loss(pixels: Tensor, rows: Tensor) -> Tensor:
        features = torch.tanh(torch.nn.functional.conv2d(pixels * 4 - 2, first)).mean((2, 3))
        return (features * second).sum(1)

    return loss


def linear(weights: Tensor):
    """(N, 3, H, W) weights, one set per picture."""
    return lambda pixels, rows: (weights[rows] * pixels).sum((1, 2, 3))


def rms(delta: Tensor, amplitude: Tensor) -> Tensor:
    """As `perturb` counts it: of delta / amplitude over the values that may change."""
    inside = (amplitude > 0).expand_as(delta)
    ratio = torch.where(inside, delta / amplitude.clamp_min(1e-12), 0.0)
    return ((ratio**2).sum((1, 2, 3)) / inside.sum((1, 2, 3))).sqrt()


def test_an_attack_moves_the_loss_of_every_picture(perturb):
    loss, pixels, rows = curved(), pictures(), torch.arange(3)
    delta = perturb(loss, pixels, disc(), radius=RADIUS, peak=PEAK, steps=20)
    before, after = loss(pixels, rows), loss(pixels + delta, rows)
    random = noise(3, 3, SIDE, SIDE) * (disc() > 0)
    random *= (rms(delta, disc()) / rms(random, disc())).view(-1, 1, 1, 1)
    at_random = (before - loss((pixels + random).clamp(0, 1), rows)).abs()
    assert (before - after > 3 * at_random).all()


@pytest.mark.parametrize(("radius", "peak"), [(RADIUS, PEAK), (RADIUS, 8 / 255), (40 / 255, 10 / 255), (1e-3, 1.0)])
def test_delta_stays_within_the_radius_the_peak_and_the_range_of_pixels(perturb, radius, peak):
    pixels, amplitude = pictures(), disc()
    delta = perturb(curved(), pixels, amplitude, radius=radius, peak=peak, steps=15)
    assert delta.shape == pixels.shape and delta.dtype == pixels.dtype and not delta.requires_grad
    assert (rms(delta, amplitude) <= radius * (1 + 1e-5)).all()
    assert delta.abs().max() <= peak * (1 + 1e-5)
    assert (pixels + delta).min() >= 0 and (pixels + delta).max() <= 1
    assert (delta != 0).flatten(1).any(1).all()


def test_nothing_changes_where_the_amplitude_is_zero(perturb):
    amplitude = disc()
    amplitude[1] = 0
    delta = perturb(curved(), pictures(), amplitude, radius=RADIUS, peak=PEAK, steps=15)
    assert (delta[(amplitude == 0).expand_as(delta)] == 0).all()
    assert (delta[1] == 0).all() and (delta[0] != 0).any()


def test_delta_is_never_worse_than_no_change_by_the_judge(perturb):
    """The loss pulls the wrong way: following it can only harm, and nothing must be returned."""
    judge = curved()
    delta = perturb(lambda p, r: -judge(p, r), pictures(), disc(), radius=RADIUS, peak=PEAK, steps=20, judge=judge,
                    judge_every=5)
    rows = torch.arange(3)
    assert (judge(pictures() + delta, rows) <= judge(pictures(), rows)).all()


def test_the_best_judged_step_is_returned_and_not_the_last(perturb):
    seen: list[Tensor] = []
    values = iter([0.0, -1.0, -3.0, -2.0, -2.5])

    def judge(pixels: Tensor, rows: Tensor) -> Tensor:
        seen.append(pixels.clone())
        return torch.full((len(pixels),), next(values))

    pixels = pictures(1)
    delta = perturb(curved(), pixels, disc(1), radius=RADIUS, peak=PEAK, steps=20, judge=judge, judge_every=5)
    assert len(seen) == 5
    assert_close(pixels + delta, seen[2])
    assert not torch.equal(seen[2], seen[4])


def test_the_last_step_is_judged_whatever_the_interval(perturb):
    loss, pixels = curved(), pictures()
    delta = perturb(loss, pixels, disc(), radius=RADIUS, peak=PEAK, steps=7, judge=loss, judge_every=100)
    assert (loss(pixels + delta, torch.arange(3)) < loss(pixels, torch.arange(3))).all()


def test_a_seed_decides_the_result_of_a_random_loss(perturb):
    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        inner = curved()

        def loss(pixels, rows):
            return inner(pixels + 0.1 * torch.randn(pixels.shape, generator=generator), rows)

        return perturb(loss, pictures(), disc(), radius=RADIUS, peak=PEAK, steps=12, judge=curved())

    torch.manual_seed(1)
    first = run(3)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(first, run(3))
    assert torch.equal(torch.get_rng_state(), state), "the attack drew from the global generator"
    assert not torch.equal(first, run(4))


def test_finished_pictures_leave_the_batch_and_the_others_go_on(perturb):
    """Each picture has its own grey, so that a row mixed up with another shows."""
    values = torch.tensor([0.2, 0.4, 0.6, 0.8])
    pixels = values.view(4, 1, 1, 1).expand(4, 3, SIDE, SIDE).clone()
    # The first gains most and is finished first, the last never
    weights = noise(1, 3, SIDE, SIDE) * torch.tensor([8.0, 4.0, 2.0, 0.001]).view(4, 1, 1, 1)
    start = linear(weights)(pixels, torch.arange(4))
    reach = weights.flatten(1).norm(dim=1) * RADIUS * math.sqrt(3 * SIDE * SIDE)
    sizes: list[int] = []

    def loss(p: Tensor, rows: Tensor) -> Tensor:
        assert (p.mean((1, 2, 3)) - values[rows]).abs().max() < 0.1, "rows do not name the pictures they came with"
        if p.requires_grad:
            sizes.append(len(p))
        return linear(weights)(p, rows) - start[rows]

    counted: list[int] = []
    delta = perturb(loss, pixels, full(4), radius=RADIUS, peak=1.0, steps=30, goal=-0.02 * float(reach[0]),
                    judge_every=1, on_step=lambda step, left: counted.append(left))
    assert sizes[0] == 4 and sizes[-1] == 1 and sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 30 and counted == sizes
    with torch.no_grad():
        gained = loss(pixels + delta, torch.arange(4))
    assert (gained[:3] <= -0.02 * reach[0]).all() and gained[3] < 0


def test_a_picture_that_needs_nothing_is_never_touched(perturb):
    seen: set[int] = set()
    inner = curved()

    def loss(pixels, rows):
        seen.update(rows.tolist())
        return inner(pixels, rows)

    def judge(pixels, rows):
        return torch.where(rows == 1, torch.tensor(-5.0), inner(pixels, rows))

    delta = perturb(loss, pictures(), disc(), radius=RADIUS, peak=PEAK, steps=8, judge=judge, goal=-4.0)
    assert (delta[1] == 0).all() and (delta[0] != 0).any() and (delta[2] != 0).any()
    assert seen == {0, 2}


def test_no_steps_no_change(perturb):
    delta = perturb(curved(), pictures(), disc(), radius=RADIUS, peak=PEAK, steps=0)
    assert torch.equal(delta, torch.zeros(3, 3, SIDE, SIDE))


def test_no_pictures_no_change(perturb):
    delta = perturb(curved(), pictures(0), disc(0), radius=RADIUS, peak=PEAK, steps=3)
    assert delta.shape == (0, 3, SIDE, SIDE)


def test_an_attack_reaches_the_optimum_of_its_budget_on_a_linear_loss(perturb):
    """The budget is a ball in z = delta / a, a the amplitude. The loss is (a g) z, least along -a g (Cauchy-Schwarz):
    delta = -a a g, scaled to the whole radius. g is grey, so that how an attack counts colour does not matter."""
    weights, amplitude = noise(3, 1, SIDE, SIDE).expand(-1, 3, -1, -1), disc()
    delta = perturb(linear(weights), grey(), amplitude, radius=RADIUS, peak=1.0, steps=40)
    direction = amplitude**2 * weights
    best = -RADIUS * direction / rms(direction, amplitude).view(-1, 1, 1, 1)
    assert_close(delta, best, atol=1e-4 * RADIUS, rtol=1e-3)
    assert_close(rms(delta, amplitude), torch.full((3,), RADIUS), atol=0, rtol=1e-4)


def test_where_only_the_peak_binds_an_attack_reaches_its_corner(perturb):
    weights = noise(3, 1, SIDE, SIDE).sign().expand(-1, 3, -1, -1) * (
        0.6 + 0.4 * torch.rand((3, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(1)))
    delta = perturb(linear(weights), grey(), full(), radius=1.0, peak=PEAK, steps=40)
    assert_close(delta, -PEAK * weights.sign(), atol=1e-6, rtol=1e-4)


def test_a_batch_gives_what_its_pictures_give_alone(perturb):
    pixels, amplitude, inner = pictures(), disc(), curved()
    weights = torch.tensor([1.0, 50.0, 0.02])  # gradients of very different size must not mix

    def loss(p, rows):
        return weights[rows] * inner(p, rows)

    together = perturb(loss, pixels, amplitude, radius=RADIUS, peak=PEAK, steps=12)
    for i in range(3):
        alone = perturb(lambda p, rows, i=i: weights[i] * inner(p, rows), pixels[i : i + 1], amplitude[i : i + 1],
                        radius=RADIUS, peak=PEAK, steps=12)
        assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


def test_a_picture_whose_loss_is_not_a_number_stays_as_it_is_and_spoils_no_other(perturb):
    inner = curved()

    def loss(pixels, rows):
        return inner(pixels, rows) * torch.where(rows == 1, math.nan, 1.0)

    delta = perturb(loss, pictures(), disc(), radius=RADIUS, peak=PEAK, steps=10, judge_every=5)
    assert torch.isfinite(delta).all() and (delta[1] == 0).all()
    expected = perturb(inner, pictures(), disc(), radius=RADIUS, peak=PEAK, steps=10, judge_every=5)
    assert_close(delta[[0, 2]], expected[[0, 2]])


def test_an_attack_leaves_its_input_alone_and_reports_every_step(perturb):
    pixels, amplitude = pictures(), disc()
    before = pixels.clone(), amplitude.clone()
    steps: list[int] = []
    perturb(curved(), pixels, amplitude, radius=RADIUS, peak=PEAK, steps=6, on_step=lambda s, left: steps.append(s))
    assert torch.equal(pixels, before[0]) and torch.equal(amplitude, before[1])
    assert not pixels.requires_grad
    assert steps == [1, 2, 3, 4, 5, 6]


def test_l2_momentum_changes_brightness_and_not_colour():
    """On a loss that asks for colour more than for brightness; coloured spots are what people see first."""
    weights = noise(3, 3, SIDE, SIDE) * torch.tensor([5.0, -5.0, 0.5]).view(1, 3, 1, 1)
    delta = l2_momentum.perturb(linear(weights), grey(), full(), radius=RADIUS, peak=PEAK, steps=20)
    assert (delta.abs().amax((1, 2, 3)) > 0).all()
    assert_close(delta, delta[:, :1].expand_as(delta), atol=1e-6, rtol=0)
