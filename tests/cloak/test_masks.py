"""Where a cloak may act, and how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak import masks

ellipses = st.tuples(
    st.floats(-20, 84), st.floats(-20, 84), st.floats(3, 60), st.floats(3, 60), st.floats(-np.pi, np.pi),
    st.floats(0.05, 1),
)


def radius_of(x, y, centre, axes, angle):
    dx, dy = x - centre[0], y - centre[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return np.hypot(along / axes[0], across / axes[1])


@given(ellipses)
def test_an_ellipse_is_one_inside_zero_outside_and_falls_between(ellipse):
    cx, cy, a, b, angle, feather = ellipse
    mask = masks.feathered_ellipse(64, (cx, cy), (a, b), angle_rad=angle, feather=feather)
    y, x = np.mgrid[:64, :64]
    radius = radius_of(x, y, (cx, cy), (a, b), angle)
    assert mask.shape == (64, 64) and mask.dtype == np.float32
    assert (mask[radius > 1.001] == 0).all()
    assert (mask[radius < 1 - feather - 0.001] > 0.9999).all()
    assert mask.min() >= 0 and mask.max() <= 1
    order = np.argsort(radius.ravel())
    assert (np.diff(mask.ravel()[order]) <= 1e-3).all()


def test_half_way_through_the_feather_the_mask_is_a_half():
    mask = masks.feathered_ellipse(101, (50, 50), (40, 40), feather=0.5)
    assert mask[50, 80] == pytest.approx(0.5, abs=1e-5)  # radius 0.75


def test_the_axes_are_half_width_and_half_height_and_the_centre_is_x_first():
    mask = masks.feathered_ellipse(100, (30, 60), (20, 35), feather=0.1) > 0
    rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
    assert (columns.min(), columns.max()) == (11, 49)
    assert (rows.min(), rows.max()) == (26, 94)


def skin_and_hair(roughness=80):
    """Left half flat, right half rough."""
    pixels = np.full((96, 96, 3), 140, np.uint8)
    pixels[:, 48:] = np.random.default_rng(0).integers(140 - roughness, 140 + roughness, (96, 48, 1))
    return pixels


def test_rough_places_carry_more_change_than_smooth_skin():
    amount = masks.texture(skin_and_hair())
    assert amount[:, 60:90].min() > 1.5 * amount[:, 6:36].max()
    assert amount.min() > 0, "smooth skin still carries some"


def test_the_rougher_the_more():
    means = [masks.texture(skin_and_hair(roughness))[:, 60:90].mean() for roughness in (1, 10, 20, 40)]
    assert means == sorted(means) and means[-1] > 1.5 * means[0]


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_picture_is_treated_evenly(value):
    amount = masks.texture(np.full((64, 64, 3), value, np.uint8))
    assert amount.max() == pytest.approx(amount.min(), abs=0.01)


def test_hair_at_one_end_of_a_face_does_not_change_what_its_skin_carries():
    """Not relative to the face itself: a smooth face gets a smaller change as a whole."""
    flat = np.full((96, 96, 3), 140, np.uint8)
    assert np.array_equal(masks.texture(skin_and_hair())[:, :40], masks.texture(flat)[:, :40])


def test_one_hard_edge_does_not_collect_the_whole_change():
    """Eyes and teeth: the contrast there is some 25 times that of the skin, the change must not be."""
    pixels = np.full((96, 96, 3), 60, np.uint8)
    pixels[40:56, 40:56] = 255
    amount = masks.texture(pixels)
    assert 1 < amount.max() / np.median(amount) < 12


def test_extremes_stay_finite():
    checks = (np.random.default_rng(0).integers(0, 2, (32, 32, 3)) * 255).astype(np.uint8)
    for pixels in (np.zeros((32, 32, 3), np.uint8), checks):
        amount = masks.texture(pixels)
        assert amount.dtype == np.float32 and np.isfinite(amount).all() and (amount > 0).all()
