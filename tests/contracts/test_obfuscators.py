"""What every way to cover a head in `cloak/obfuscators` promises. A new file there is tested by being there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak import calibration, io_image, masks, obfuscators
from cloak.errors import SettingsInvalid
from cloak.masks import Patch
from cloak.obfuscators import blur, mosaic, ring, solid

each = pytest.mark.parametrize("style", obfuscators.available())
# These use the colours of the head itself, the others nothing of it
FROM_THE_HEAD = ("blur", "mosaic")
SIDE = 72  # divided by any number of cells that one may try
CELL = SIDE // mosaic.CELLS  # of a mask that is all of a SIDE x SIDE picture


def shapes():
    """Masks by name, (SIDE, SIDE)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = np.hypot(x - 30, y - 34) < 20
    nothing = np.zeros((SIDE, SIDE), np.bool_)
    point, line = nothing.copy(), nothing.copy()
    point[11, 50] = line[40, 3:60] = True
    checks = (x + y) % 2 == 0
    return {"disc": disc, "with a hole": disc & (np.hypot(x - 30, y - 34) > 6), "all": ~nothing, "nothing": nothing,
            "a pixel": point, "a line": line, "at the rim": (x < 20) & (y > 30), "two parts": (x < 9) | (x > 50),
            "checks": checks, "all but a pixel": ~point, "a corner pixel": (x == SIDE - 1) & (y == SIDE - 1)}


every_shape = pytest.mark.parametrize("mask", shapes().values(), ids=shapes().keys())


def picture(seed=0, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def soft_picture(seed=0, side=SIDE):
    """Large forms, as a face has them, so that cells differ."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(small, np.ones((side // 8, side // 8, 1), np.uint8))


scenes = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))


def scene(seed, height, width, share):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8), random.random((height, width)) < share


@each
@given(scenes, st.integers(0, 2**63))
def test_every_byte_outside_the_mask_stays(style, parameters, seed):
    pixels, mask = scene(*parameters)
    before, mask_before = pixels.copy(), mask.copy()
    covered = obfuscators.load(style)(pixels, mask, seed=seed)
    assert covered.dtype == np.uint8 and covered.shape == pixels.shape and covered is not pixels
    assert np.array_equal(covered[~mask], before[~mask])
    assert np.array_equal(pixels, before) and np.array_equal(mask, mask_before), "the arguments stay"


@each
@every_shape
def test_the_same_seed_gives_the_same_bytes(style, mask):
    obfuscate = obfuscators.load(style)
    assert np.array_equal(obfuscate(picture(), mask, seed=7), obfuscate(picture(), mask, seed=7))


@each
@given(scenes)
def test_grey_stays_grey(style, parameters):
    pixels, mask = scene(*parameters)
    grey = np.repeat(pixels[:, :, :1], 3, axis=2)
    covered = obfuscators.load(style)(grey, mask, seed=1)
    assert (covered == covered[:, :, :1]).all()


@each
def test_the_features_of_a_face_are_gone(style):
    """Whatever is rearranged within a cell cannot be told from what comes out."""
    mask = np.ones((SIDE, SIDE), np.bool_)
    pixels, other = picture(), picture()
    for y in range(0, SIDE, CELL):
        for x in range(0, SIDE, CELL):
            cell = other[y : y + CELL, x : x + CELL]
            cell[:] = np.random.default_rng(y * SIDE + x).permutation(cell.reshape(-1, 3)).reshape(cell.shape)
    assert not np.array_equal(pixels, other)
    obfuscate = obfuscators.load(style)
    covered = obfuscate(pixels, mask, seed=3)
    assert np.array_equal(covered, obfuscate(other, mask, seed=3))
    for channel in range(3):
        # A mosaic of n x n cells, smoothed or not, is a matrix of rank n; what rounding adds is small
        singular = np.linalg.svd(covered[:, :, channel].astype(float), compute_uv=False)
        assert singular[mosaic.CELLS :].max(initial=0) < 2 * np.sqrt(SIDE)


@pytest.mark.parametrize("style", sorted(set(obfuscators.available()) - set(FROM_THE_HEAD)))
@given(scenes, st.integers(0, 2**32 - 1))
def test_nothing_of_the_head_is_used(style, parameters, seed):
    pixels, mask = scene(*parameters)
    other = np.where(mask[:, :, None], scene(seed, *parameters[1:])[0], pixels)
    obfuscate = obfuscators.load(style)
    assert np.array_equal(obfuscate(pixels, mask, seed=0), obfuscate(other, mask, seed=1))


@pytest.mark.parametrize("style", FROM_THE_HEAD)
@given(scenes, st.integers(0, 2**32 - 1))
def test_nothing_around_the_head_is_used(style, parameters, seed):
    pixels, mask = scene(*parameters)
    other = np.where(mask[:, :, None], pixels, scene(seed, *parameters[1:])[0])
    obfuscate = obfuscators.load(style)
    assert np.array_equal(obfuscate(pixels, mask, seed=5)[mask], obfuscate(other, mask, seed=5)[mask])


@pytest.mark.parametrize("style", FROM_THE_HEAD)
def test_noise_hides_what_rounding_would_show(style):
    obfuscate, mask = obfuscators.load(style), shapes()["disc"]
    a, b = (obfuscate(soft_picture(), mask, seed=seed) for seed in (1, 2))
    assert (a != b)[mask].any(axis=1).mean() > 0.1


def test_frames_that_differ_a_little_do_not_add_up():
    """The mean of many frames of a head held still is no finer than one of them: rounding comes last."""
    mask = shapes()["disc"]
    frames = [np.clip(soft_picture() + np.random.default_rng(i).normal(0, 4, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
              for i in range(30)]
    covered = np.stack([mosaic.obfuscate(frame, mask, seed=4) for frame in frames]).astype(int)
    assert (np.ptp(covered, axis=0)[mask].max(axis=1) == 0).mean() > 0.6


@every_shape
def test_a_mosaic_shows_few_colours_of_few_levels(mask):
    covered = mosaic.obfuscate(picture(), mask, seed=0)[mask]
    assert len(np.unique(covered, axis=0)) <= mosaic.CELLS**2
    levels = np.unique(covered)
    assert len(levels) <= 8 and (levels % mosaic.STEP_LEVELS == mosaic.STEP_LEVELS // 2).all()


def test_a_mosaic_keeps_the_mean_of_each_cell_within_its_noise():
    """An independent mean, by reshaping: cells are where they should be and rows are not columns."""
    pixels = soft_picture()
    covered = mosaic.obfuscate(pixels, np.ones((SIDE, SIDE), np.bool_), seed=0)
    means = pixels.reshape(mosaic.CELLS, CELL, mosaic.CELLS, CELL, 3).mean((1, 3))
    shown = covered.reshape(mosaic.CELLS, CELL, mosaic.CELLS, CELL, 3)
    assert (shown == shown[:, :1, :, :1]).all()
    error = np.abs(shown[:, 0, :, 0] - means)
    assert error.max() <= mosaic.NOISE_LEVELS + mosaic.STEP_LEVELS / 2 and error.max() > 0


@pytest.mark.parametrize("side", [1, 2, 3, 5, 7, 9, 15])
def test_the_cells_of_a_small_head_are_no_pixels(side):
    covered = mosaic.obfuscate(picture(side=side), np.ones((side, side), np.bool_), seed=0)
    assert len(np.unique(covered.reshape(-1, 3), axis=0)) <= max(side // mosaic.MIN_CELL_PX, 1) ** 2


def test_thin_parts_of_a_mask_show_no_single_pixels():
    for name in ("a line", "a pixel"):
        assert len(np.unique(mosaic.obfuscate(picture(), shapes()[name], seed=0)[shapes()[name]], axis=0)) <= 4


def test_a_blur_is_a_function_of_the_mosaic(monkeypatch):
    """So it tells no more: with the cells given, the picture no longer matters."""
    mask = shapes()["disc"]
    cells = mosaic.reduce(soft_picture(), mask, seed=2)
    expected = blur.obfuscate(soft_picture(), mask, seed=2)[mask]
    monkeypatch.setattr(mosaic, "reduce", lambda *_, **__: cells)
    assert np.array_equal(blur.obfuscate(picture(1), mask, seed=9)[mask], expected)


def test_a_blur_has_no_edges():
    covered = blur.obfuscate(soft_picture(side=256), np.ones((256, 256), np.bool_), seed=0).astype(int)
    steps = [np.abs(np.diff(covered, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < 12 and np.ptp(covered) > 40


def test_solid_is_black_or_the_colour_asked_for():
    mask = shapes()["disc"]
    assert (solid.obfuscate(picture(), mask, seed=0)[mask] == 0).all()
    assert (solid.obfuscate(picture(), mask, colour=(9, 99, 200))[mask] == (9, 99, 200)).all()


def test_a_ring_of_one_colour_fills_with_it():
    mask, pixels = shapes()["disc"], picture()
    pixels[~mask] = (200, 30, 90)
    assert (ring.obfuscate(pixels, mask) == (200, 30, 90)).all()


def test_a_ring_goes_softly_from_one_side_to_the_other():
    mask, pixels = shapes()["disc"], np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, 30:] = 240
    row = ring.obfuscate(pixels, mask)[34, 12:49, 0].astype(int)
    assert row[0] < 40 and row[-1] > 200 and (np.diff(row) >= 0).all() and np.diff(row).max() < 40


def test_far_from_a_head_nothing_tells_in_its_ring():
    mask, pixels = np.zeros((128, 128), np.bool_), np.full((128, 128, 3), 50, np.uint8)
    mask[40:60, 40:60] = True
    pixels[100:], pixels[:, 100:] = 255, 255
    assert (ring.obfuscate(pixels, mask)[mask] == 50).all()


def test_a_ring_around_nothing_is_solid():
    assert (ring.obfuscate(picture(), np.ones((SIDE, SIDE), np.bool_)) == 0).all()


@each
def test_a_patch_is_covered_in_place_and_nothing_else(style):
    mask = shapes()["disc"]
    photo = picture(side=200)
    before = photo.copy()
    obfuscators.cover(photo, Patch(70, 90, mask), style, seed=1)
    whole = np.zeros((200, 200), np.bool_)
    whole[90 : 90 + SIDE, 70 : 70 + SIDE] = mask
    assert np.array_equal(photo, obfuscators.load(style)(before, whole, seed=1)), "as if the photo were the crop"
    assert (photo != before)[whole].any(axis=1).mean() > 0.9


@each
@pytest.mark.parametrize("left, top", [(-30, 20), (150, -20), (180, 180), (-40, -40), (-70, 0), (0, 200), (-1, 137)])
def test_a_patch_may_reach_over_the_edges(style, left, top):
    mask = shapes()["disc"]
    photo = picture(side=200)
    before = photo.copy()
    obfuscators.cover(photo, Patch(left, top, mask), style, seed=1)
    whole = np.zeros((400, 400), np.bool_)
    whole[100 + top : 100 + top + SIDE, 100 + left : 100 + left + SIDE] = mask
    whole = whole[100:300, 100:300]
    assert np.array_equal(photo[~whole], before[~whole])
    if style not in FROM_THE_HEAD:
        other = before.copy()
        other[whole] = picture(side=200)[whole]
        obfuscators.cover(other, Patch(left, top, mask), style, seed=1)
        assert np.array_equal(photo, other), "what is covered must not come in again from beyond the edge"


@each
def test_a_patch_larger_than_the_picture_covers_all_of_it(style):
    photo = soft_picture()
    obfuscators.cover(photo, Patch(-50, -80, np.ones((300, 240), np.bool_)), style, seed=1)
    assert len(np.unique(photo.reshape(-1, 3), axis=0)) <= (mosaic.CELLS**2 if style != "blur" else SIDE**2)
    if style not in FROM_THE_HEAD:
        assert (photo == 0).all(), "nothing is known of what lies around"


def test_half_a_head_at_the_edge_is_as_coarse_as_a_whole_one():
    photo = picture(side=256)
    obfuscators.cover(photo, Patch(-96, -96, np.ones((128, 128), np.bool_)), "mosaic", seed=1)
    assert len(np.unique(photo[:32, :32].reshape(-1, 3), axis=0)) == 1, "a cell is larger than what is seen of it"


@each
def test_a_frame_that_is_a_view_into_another_is_covered_too(style):
    big = picture(side=200)
    view = big[20:180, 180:20:-1]
    obfuscators.cover(view, Patch(40, 40, shapes()["disc"]), style, seed=0)
    assert (big[20:180, 180:20:-1] == view).all() and (view[74, 70] != picture(side=200)[94, 110]).any()


def test_a_style_that_does_not_exist_is_refused_by_name():
    photo = picture()
    with pytest.raises(SettingsInvalid, match="'pixels'.*blur, mosaic, ring, solid"):
        obfuscators.cover(photo, Patch(0, 0, np.ones((9, 9), np.bool_)), "pixels", seed=0)
    assert np.array_equal(photo, picture())


@each
def test_the_recogniser_no_longer_knows_a_covered_face(style, portrait, nets):
    """With the eyes, nose and mouth pointed out to it, which nobody does who does not have the original."""
    pixels = io_image.read_photo(portrait, max_pixels=10**7).pixels
    (faces,) = nets.find([pixels])
    covered = pixels.copy()
    obfuscators.cover(covered, masks.head(faces.boxes[0], faces.landmarks[0]), style, seed=0)
    for surrogate in nets.surrogates:
        before, after = nets.embed(surrogate, pixels, faces), nets.embed(surrogate, covered, faces)
        assert float((before * after).sum()) < calibration.curve(surrogate.name).threshold(1e-2)
