"""Where a cloak may act, and how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak import masks

ellipses = st.tuples(
    st.floats(-20, 84), st.floats(-20, 84), st.floats(3, 60), st.floats(3, 60), st.floats(0.05, 1)
)


@given(ellipses)
def test_an_ellipse_is_one_inside_zero_outside_and_falls_between(ellipse):
    cx, cy, a, b, feather = ellipse
    mask = masks.feathered_ellipse(64, (cx, cy), (a, b), feather=feather)
    y, x = np.mgrid[:64, :64]
    radius = np.hypot((x - cx) / a, (y - cy) / b)
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


# The portrait of the tests, by eye: what a redaction must hide, and what it must leave
BOX = np.array([181.5, 58.2, 269.9, 177.8])
POINTS = np.array([[203, 101], [247, 104], [223, 125], [203, 142], [241, 144]], np.float64)
HAIR_EARS_CHIN = [(222, 12), (165, 60), (280, 60), (176, 110), (276, 105), (222, 180), (168, 35), (272, 35)]
NOT_THE_HEAD = [(120, 100), (330, 100), (222, 250), (140, 210), (310, 190)]


def whole(patch, size=512, margin=1024):
    """The patch as a mask of a picture of (size, size), what reaches over its edges cut off."""
    canvas = np.zeros((size + 2 * margin, size + 2 * margin), np.bool_)
    top, left = patch.top + margin, patch.left + margin
    rows, columns = patch.mask.shape
    canvas[top : top + rows, left : left + columns] = patch.mask
    return canvas[margin:-margin, margin:-margin]


def turned(points, degrees, centre=(256.0, 256.0)):
    """(..., 2) points after a turn clockwise on the screen."""
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (np.asarray(points, np.float64) - centre) @ matrix.T + centre


def around(points):
    return np.concatenate([points.min(0), points.max(0)])


CORNERS = BOX[[[0, 1], [2, 1], [2, 3], [0, 3]]]


def test_a_head_takes_hair_ears_and_chin_with_it_and_leaves_its_surroundings():
    mask = whole(masks.head(BOX, POINTS))
    assert all(mask[y, x] for x, y in HAIR_EARS_CHIN)
    assert not any(mask[y, x] for x, y in NOT_THE_HEAD)


@pytest.mark.parametrize("degrees", [-150, -90, -60, -35, -15, 20, 45, 75, 90, 180])
def test_a_head_follows_its_roll(degrees):
    """The box stays upright, as detectors draw it: the one around the turned face."""
    box = around(turned(CORNERS, degrees))
    mask = whole(masks.head(box, turned(POINTS, degrees)))
    hidden, shown = (turned(points, degrees).round().astype(int) for points in (HAIR_EARS_CHIN, NOT_THE_HEAD))
    assert all(mask[y, x] for x, y in hidden)
    far = turned([(-40, 100), (480, 100), (222, 330)], degrees).round().astype(int)
    assert not any(mask[y, x] for x, y in far if 0 <= x < 512 and 0 <= y < 512)


def test_a_quarter_turn_of_the_face_is_the_mask_of_a_lying_one():
    upright = whole(masks.head(BOX, POINTS))
    box = around(turned(CORNERS, 90))
    lying = np.rot90(whole(masks.head(box, turned(POINTS, 90))))
    assert (upright & ~lying).sum() < 0.001 * upright.sum(), "at least as much is covered"
    assert lying.sum() < 1.6 * upright.sum()


def test_the_mirrored_face_has_the_mirrored_mask():
    points = POINTS + [[0, 0], [0, 0], [9, 0], [0, 0], [0, 0]]
    patch = masks.head(BOX, points)
    mirrored = masks.head([512 - BOX[2], BOX[1], 512 - BOX[0], BOX[3]],
                          np.stack([511 - points[:, 0], points[:, 1]], 1)[[1, 0, 2, 4, 3]])
    assert (whole(patch) != whole(mirrored)[:, ::-1]).mean() < 0.001


def test_of_a_profile_the_back_of_the_head_is_covered():
    """Which has no landmark, and in which the box ends before the ear."""
    looking_right = POINTS + [[30, 0], [0, 0], [38, 0], [32, 0], [4, 0]]
    front, profile = whole(masks.head(BOX, POINTS)), whole(masks.head(BOX, looking_right))
    x = np.arange(512)
    assert x[profile.any(0)].min() < x[front.any(0)].min() - 0.1 * (BOX[2] - BOX[0])
    assert profile[:, 258:269].sum() >= 0.9 * 11 * (BOX[3] - BOX[1]), "and the nose still is"


@given(
    st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000), st.floats(0.01, 400), st.floats(0.01, 400)),
    st.lists(st.floats(-2000, 2000, width=32), min_size=10, max_size=10),
)
def test_every_pixel_of_the_box_is_covered_whatever_the_landmarks_say(box, points):
    x, y, width, height = box
    patch = masks.head(np.array([x, y, x + width, y + height]), np.array(points).reshape(5, 2))
    left, top = int(np.floor(x)) - patch.left, int(np.floor(y)) - patch.top
    right, bottom = int(np.ceil(x + width)) - patch.left, int(np.ceil(y + height)) - patch.top
    assert left >= 0 and top >= 0 and right <= patch.mask.shape[1] and bottom <= patch.mask.shape[0]
    assert patch.mask[top:bottom, left:right].all()
    assert max(patch.mask.shape) < 6 * max(width, height) + 12


def test_sizes_are_relative_to_the_face():
    small, large = masks.head(BOX, POINTS), masks.head(BOX * 4, POINTS * 4)
    assert large.mask.sum() == pytest.approx(16 * small.mask.sum(), rel=0.02)


def test_a_shifted_face_has_the_same_mask_elsewhere():
    here, there = masks.head(BOX, POINTS), masks.head(BOX + [-300, 40, -300, 40], POINTS + [-300, 40])
    assert (there.left, there.top) == (here.left - 300, here.top + 40) and np.array_equal(here.mask, there.mask)


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.full((5, 2), np.inf)])
def test_landmarks_that_say_nothing_stand_for_an_upright_face(points):
    patch = masks.head(np.array([180, 58, 270, 178]), points)
    mask = whole(patch)
    assert all(mask[y, x] for x, y in HAIR_EARS_CHIN) and not any(mask[y, x] for x, y in NOT_THE_HEAD)
    assert np.array_equal(patch.mask, patch.mask[:, ::-1])


def test_of_a_region_drawn_by_hand_each_pixel_it_touches_is_covered_and_no_other():
    patch = masks.head(np.array([10.2, -3.0, 12.0, 0.5]), None)
    assert (patch.left, patch.top, patch.mask.shape) == (10, -3, (4, 2)) and patch.mask.all()


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 9, 9, 5), (0, 0, np.nan, 4), (0, 0, np.inf, 4)])
@pytest.mark.parametrize("points", [None, POINTS])
def test_a_box_that_holds_nothing_is_refused(box, points):
    with pytest.raises(ValueError, match="holds nothing"):
        masks.head(np.array(box, np.float64), points)
