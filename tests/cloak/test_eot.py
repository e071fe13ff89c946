"""What a platform does to a picture, as matrices."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from cloak import eot

CPU = torch.device("cpu")


def drawn(count=64, size_px=48, seed=0):
    return eot.draw(count, size_px, generator=torch.Generator().manual_seed(seed), device=CPU)


def chips(count=1, size_px=48, seed=0):
    return torch.rand((count, 3, size_px, size_px), generator=torch.Generator().manual_seed(seed))


def test_a_view_keeps_the_brightness_of_a_flat_chip_but_for_gain_and_offset():
    views = drawn()
    for matrices in (views.rows, views.columns):
        assert_close(matrices.sum(2), torch.ones(64, 48))
    flat = torch.full((64, 3, 48, 48), 0.4)
    seen = eot.apply(flat, views) - views.noise
    assert_close(seen, (0.4 * views.gain + views.offset).expand_as(seen))


def test_views_are_blurs_and_never_sharpen():
    views = drawn()
    assert (views.rows >= 0).all() and (views.columns >= 0).all()


@pytest.mark.parametrize("sigma", [0.5, 1.2, 3.0])
def test_blur_is_the_gaussian_blur_of_opencv(sigma):
    picture = chips(2)
    found = eot.blur(picture, sigma)
    edge = 4 * int(np.ceil(sigma))
    for i in range(2):
        size = 2 * edge + 1
        expected = cv2.GaussianBlur(picture[i].permute(1, 2, 0).numpy(), (size, size), sigma)
        inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
        assert_close(found[i][inner], torch.from_numpy(expected).permute(2, 0, 1)[inner], atol=1e-4, rtol=0)


def test_blur_works_on_each_chip_and_channel_by_itself():
    picture = chips(3)
    together = eot.blur(picture, 1.0)
    for i in range(3):
        for c in range(3):
            assert_close(together[i, c], eot.blur(picture[i : i + 1, c : c + 1], 1.0)[0, 0])


def test_shrinking_and_enlarging_a_constant_changes_nothing():
    matrices = eot._down_up(40, torch.tensor([0.05, 0.3, 0.5, 0.77, 0.99]))
    assert matrices.shape == (5, 40, 40)
    assert_close(matrices @ torch.full((5, 40, 1), 0.7), torch.full((5, 40, 1), 0.7))


def test_shrinking_by_a_half_is_what_pillow_makes_of_it():
    """Box filter down, bilinear up: the same chain by an independent implementation."""
    line = np.random.default_rng(0).random((1, 40)).astype(np.float32)
    small = Image.fromarray(line, "F").resize((20, 1), Image.Resampling.BOX)
    expected = np.array(small.resize((40, 1), Image.Resampling.BILINEAR))[0]
    (matrix,) = eot._down_up(40, torch.tensor([0.5]))
    assert_close(matrix @ torch.from_numpy(line[0]), torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_a_seed_decides_every_draw_and_nothing_else_does():
    torch.manual_seed(1)
    first = drawn(seed=5)
    torch.manual_seed(2)
    again, other = drawn(seed=5), drawn(seed=6)
    for name in ("rows", "columns", "gain", "offset", "noise"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
        assert not torch.equal(getattr(first, name), getattr(other, name)), name


def test_every_chip_of_a_batch_gets_a_view_of_its_own():
    views = drawn(count=8)
    for name in ("rows", "columns", "gain", "offset"):
        values = getattr(views, name).flatten(1)
        assert len(torch.unique(values, dim=0)) == 8, name


def test_over_many_draws_brightness_contrast_and_noise_average_out():
    views = drawn(count=3000, size_px=8)
    assert views.gain.mean().item() == pytest.approx(1, abs=0.1 * eot.GAIN)
    assert views.offset.mean().item() == pytest.approx(0, abs=0.1 * eot.OFFSET)
    noise = drawn(count=1, size_px=200).noise
    assert noise.mean().item() == pytest.approx(0, abs=0.02 * eot.NOISE)
    assert noise.std().item() == pytest.approx(eot.NOISE, rel=0.02)
    assert (views.gain - 1).abs().max() <= eot.GAIN and views.offset.abs().max() <= eot.OFFSET


def test_about_half_of_the_views_are_mirrored():
    views = drawn(count=400, size_px=12)
    mirrored = [torch.equal(r.flip(1), c) for r, c in zip(views.rows, views.columns)]
    plain = [torch.equal(r, c) for r, c in zip(views.rows, views.columns)]
    assert sum(mirrored) + sum(plain) == 400 and 150 < sum(mirrored) < 250


def test_a_view_holds_a_fifth_of_the_chip_upside_down_and_elsewhere():
    dot = torch.zeros(1, 3, 16, 16)
    dot[:, :, 2, 3] = 1
    nothing = torch.zeros(1, 1, 1, 1)
    same = torch.eye(16)[None]
    seen = eot.apply(dot, eot.Views(same, same, 0.2, (4, 5), nothing + 1, nothing, torch.zeros_like(dot)))
    expected = 0.8 * dot
    expected[:, :, (15 - 2 + 4) % 16, 3 + 5] += 0.2
    assert_close(seen, expected)


def test_the_expected_view_is_a_blurred_chip_of_the_same_brightness(monkeypatch):
    """The mean over views must lie at the chip itself, blurred: a shifted mean would cloak a picture nobody sees."""
    monkeypatch.setattr(eot, "MIRRORED", 0)
    monkeypatch.setattr(eot, "MIX", 0)
    chip = eot.blur(chips(size_px=32), 2)
    views = drawn(count=600, size_px=32)
    mean = (eot.apply(chip.expand(600, -1, -1, -1), views) - views.noise).mean(0)
    inner = (slice(None), slice(6, -6), slice(6, -6))
    assert_close(mean[inner], eot.blur(chip, 1)[0][inner], atol=0.03, rtol=0)
    shifted = torch.roll(chip[0], 2, 2)
    assert (mean - chip[0])[inner].norm() < 0.5 * (mean - shifted)[inner].norm()


def test_the_gradient_of_a_view_is_its_derivative():
    views = drawn(count=2, size_px=6)
    doubled = {name: getattr(views, name).double() for name in ("rows", "columns", "gain", "offset", "noise")}
    exact = dataclasses.replace(views, mix=0.0, **doubled)
    chip = chips(2, 6).double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: eot.apply(x, exact), chip)


def test_neither_apply_nor_blur_changes_its_input():
    chip = chips(2, 16)
    before = chip.clone()
    eot.apply(chip, drawn(count=2, size_px=16))
    eot.blur(chip, 1.0)
    assert torch.equal(chip, before)
