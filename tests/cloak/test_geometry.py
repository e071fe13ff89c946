"""Matrices that recover what was done to points, and one warp that puts pixels where the matrices say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from cloak import geometry

FACE = np.array([(38.0, 52.0), (74.0, 51.0), (56.0, 72.0), (42.0, 92.0), (71.0, 91.0)])

angles = st.floats(-np.pi, np.pi)
scales = st.floats(0.05, 20)
shifts = st.floats(-500, 500)


def rigid(angle, scale, dx, dy):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, dx], [sin, cos, dy]])


def moved(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def to_tensor(*matrices, dtype=torch.float64):
    return torch.from_numpy(np.stack(matrices)).to(dtype)


def noise_picture(height, width, seed=0):
    """Smooth noise, so that half a pixel of error shows and interpolation does not."""
    raw = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(raw, (0, 0), 2)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def batch(picture, dtype=torch.float32):
    return torch.from_numpy(picture).permute(2, 0, 1)[None].to(dtype)


@given(angles, scales, shifts, shifts)
def test_similarity_recovers_any_rotation_scale_and_shift(angle, scale, dx, dy):
    known = rigid(angle, scale, dx, dy)
    assert np.allclose(geometry.similarity(FACE, moved(known, FACE)), known, atol=1e-8 * max(1, scale))


@given(angles, st.floats(0.2, 5), st.integers(0, 10_000))
def test_similarity_comes_close_when_every_landmark_is_half_a_pixel_off(angle, scale, seed):
    known = rigid(angle, scale, 3, -4)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, FACE.shape)
    found = geometry.similarity(FACE + noise, moved(known, FACE))
    assert np.abs(moved(found, FACE) - moved(known, FACE)).max() < 1.5 * scale


@given(angles, st.floats(0.2, 5), st.integers(0, 10_000))
def test_no_similarity_near_the_found_one_fits_better(angle, scale, seed):
    rng = np.random.default_rng(seed)
    target = moved(rigid(angle, scale, 0, 0), FACE) + rng.normal(0, 2, FACE.shape)

    def error(matrix):
        return ((moved(matrix, FACE) - target) ** 2).sum()

    found = geometry.similarity(FACE, target)
    for turn, stretch, dx, dy in rng.normal(0, 0.01, (20, 4)):
        assert error(found) <= error(geometry.compose(found, rigid(turn, 1 + stretch, dx, dy))) + 1e-9


def test_similarity_never_mirrors_a_face():
    mirrored = FACE * (-1, 1) + (112, 0)
    found = geometry.similarity(FACE, mirrored)
    assert np.linalg.det(found[:, :2]) > 0
    # still a rotation and a scale: columns of one length, at right angles
    assert np.allclose(found[:, :2] @ found[:, :2].T, np.eye(2) * np.linalg.det(found[:, :2]))


@given(angles, scales, shifts, shifts, angles, scales, shifts, shifts)
def test_compose_applies_the_first_and_then_the_second(a1, s1, x1, y1, a2, s2, x2, y2):
    first, then = rigid(a1, s1, x1, y1), rigid(a2, s2, x2, y2)
    expected = moved(then, moved(first, FACE))
    assert np.allclose(moved(geometry.compose(first, then), FACE), expected, rtol=1e-9, atol=1e-6)
    chained = geometry.chain(to_tensor(first), to_tensor(then))[0].numpy()
    assert np.allclose(moved(chained, FACE), expected, rtol=1e-9, atol=1e-6)


@given(angles, scales, shifts, shifts)
def test_invert_undoes_a_matrix_and_each_of_a_stack(angle, scale, dx, dy):
    matrix = rigid(angle, scale, dx, dy)
    assert np.allclose(moved(geometry.invert(matrix), moved(matrix, FACE)), FACE, atol=1e-6)
    stack = np.stack([matrix, rigid(1, 2, 3, 4)])
    assert np.allclose(geometry.invert(stack)[0], geometry.invert(matrix))
    assert np.allclose(geometry.compose(stack, geometry.invert(stack)), np.eye(2, 3), atol=1e-6)


def test_the_identity_warp_gives_back_the_same_pixels():
    picture = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    identity = to_tensor(np.eye(2, 3))
    assert_close(geometry.warp(batch(picture), identity, 64), batch(picture), atol=1e-4, rtol=0)
    exact = batch(picture, torch.float64)
    assert_close(geometry.warp(exact, identity, 64), exact, atol=1e-12, rtol=0)


def test_pixel_zero_zero_is_the_centre_of_the_top_left_pixel():
    """A shift by whole pixels copies pixels; counting from corners would be right only at equal sizes."""
    picture = np.random.default_rng(1).random((40, 56, 3)).astype(np.float32)
    chip = geometry.warp(batch(picture), to_tensor(rigid(0, 1, 7, 3)), 16)
    assert_close(chip, batch(picture[3:19, 7:23]), atol=1e-4, rtol=0)


def test_a_warp_by_two_averages_what_lies_between_two_centres():
    """Chip pixel u looks at 2u + 0.5, half-way between the centres of pixels 2u and 2u + 1."""
    picture = np.random.default_rng(2).random((32, 32, 3))
    chip = geometry.warp(batch(picture, torch.float64), to_tensor(np.array([[2, 0, 0.5], [0, 2, 0.5]])), 16)
    means = picture.reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert_close(chip, batch(means, torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("angle", "scale", "dx", "dy"), [
    (0.0, 1.0, 10.25, 20.5), (0.3, 1.4, 40.0, 12.0), (-1.2, 0.5, 60.0, 90.0), (2.8, 0.9, 110.0, 60.0),
])
def test_warp_agrees_with_opencv(angle, scale, dx, dy):
    picture = noise_picture(180, 150)
    matrix = rigid(angle, scale, dx, dy)  # from chip points to picture points, which is cv2's WARP_INVERSE_MAP
    chip = geometry.warp(batch(picture), to_tensor(matrix), 80)[0].permute(1, 2, 0).numpy()
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(picture, matrix, (80, 80), flags=flags)
    inside = cv2.warpAffine(np.ones_like(picture), matrix, (80, 80), flags=flags) > 0.999
    assert inside.mean() > 0.2
    # cv2 rounds places to 1/32 pixel
    assert np.abs(chip - expected)[inside].max() < 1 / 255


def test_warp_is_black_outside_the_picture():
    chips = geometry.warp(torch.ones(1, 3, 20, 20), to_tensor(rigid(0, 1, -10, 0)), 20)
    assert_close(chips[0, :, :, :9], torch.zeros(3, 20, 9))
    assert_close(chips[0, :, :, 10:], torch.ones(3, 20, 10), atol=1e-4, rtol=0)


def test_every_picture_of_a_batch_is_warped_by_its_own_matrix():
    pictures = torch.cat([batch(noise_picture(50, 70, seed)) for seed in range(3)])
    matrices = [rigid(0.1 * i, 1 + 0.2 * i, 5 * i, 3) for i in range(3)]
    together = geometry.warp(pictures, to_tensor(*matrices), 32)
    for i, matrix in enumerate(matrices):
        alone = geometry.warp(pictures[i : i + 1], to_tensor(matrix), 32)
        assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


def test_the_gradient_of_warp_is_its_derivative():
    pixels = torch.rand((2, 1, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrices = to_tensor(rigid(0.4, 0.8, 0.7, 0.2), rigid(-0.2, 1.1, -0.6, 0.9))
    assert torch.autograd.gradcheck(lambda p: geometry.warp(p, matrices, 4), pixels.requires_grad_(True))


def test_landmarks_arrive_on_the_template_they_were_aligned_to():
    """The whole way: a dot drawn at a landmark of the photo lands on the template point of the chip."""
    template = np.array([(20.0, 22.0), (44.0, 22.0), (32.0, 34.0), (22.0, 46.0), (42.0, 46.0)])
    to_chip = rigid(0.35, 0.5, 8, -17)
    points = moved(geometry.invert(to_chip), template)
    found = geometry.similarity(points, template)
    y, x = np.mgrid[:160, :160]
    for point, expected in zip(points, template):
        dot = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 3**2))[..., None].repeat(3, 2)
        chip = geometry.warp(batch(dot, torch.float64), to_tensor(geometry.invert(found)), 64)[0, 0].numpy()
        v, u = np.mgrid[:64, :64]
        assert (chip * u).sum() / chip.sum() == pytest.approx(expected[0], abs=0.02)
        assert (chip * v).sum() / chip.sum() == pytest.approx(expected[1], abs=0.02)


def draws(seed, count=500):
    return geometry.jitter(count, 100, shift_px=2, degrees=5, scale=0.1, generator=torch.Generator().manual_seed(seed))


def test_jitter_stays_within_its_bounds_and_fills_them():
    matrices = draws(0).numpy()
    linear = matrices[:, :, :2]
    factor = np.sqrt(np.linalg.det(linear))
    angle = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    centre = np.array([49.5, 49.5])
    shift = linear @ centre + matrices[:, :, 2] - centre
    for found, bound, middle in ((factor, 0.1, 1.0), (angle, 5, 0), (shift[:, 0], 2, 0), (shift[:, 1], 2, 0)):
        assert np.abs(found - middle).max() <= bound + 1e-9
        assert np.abs(found - middle).max() > 0.95 * bound
        assert abs(found.mean() - middle) < 0.1 * bound


def test_jitter_is_decided_by_its_seed_alone():
    torch.manual_seed(1)
    first = draws(7)
    torch.manual_seed(2)
    assert torch.equal(first, draws(7))
    assert not torch.equal(first, draws(8))
