"""The working square of a face: cut in the right place, laid back in the right place, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloak import grids

SIZE = grids.SIZE_PX


@st.composite
def scenes(draw):
    """(height, width, box): faces from 12 to 700 px, boxes inside or over any side of the photo."""
    height, width = draw(st.integers(30, 420)), draw(st.integers(30, 420))
    w, h = draw(st.floats(12, 700)), draw(st.floats(12, 700))
    # any place where the box and the photo still share something
    x1, y1 = draw(st.floats(4 - w, width - 4)), draw(st.floats(4 - h, height - 4))
    return height, width, np.array([x1, y1, x1 + w, y1 + h], np.float32)


def picture(height, width, seed=0):
    """Smooth and bright everywhere, so that black comes only from outside."""
    raw = np.random.default_rng(seed).random((height // 8 + 2, width // 8 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(raw, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(40 + 200 * smooth, 20, 255).astype(np.uint8)


def laid(delta, grid, height, width):
    onto = np.zeros((height, width, 3), np.float32)
    grids.lay(delta, grid, onto)
    return onto


def ones(value=1.0):
    return np.full((SIZE, SIZE, 3), value, np.float32)


def noise(seed=0):
    return np.random.default_rng(seed).normal(0, 8, (SIZE, SIZE, 3)).astype(np.float32)


def place_in_grid(grid, height, width):
    """Grid coordinates (x, y) of every photo pixel."""
    y, x = np.mgrid[:height, :width]
    m = grid.to_grid
    return m[0, 0] * x + m[0, 2], m[1, 1] * y + m[1, 2]


@given(scenes())
@settings(max_examples=40, deadline=None)
def test_a_delta_touches_nothing_outside_the_mask(scene):
    height, width, box = scene
    grid = grids.cut(picture(height, width), box)
    assert grid.pixels.shape == (SIZE, SIZE, 3) and grid.amplitude.shape == (SIZE, SIZE)
    # the attack gives 0 where the amplitude is 0
    onto = laid(noise() * (grid.amplitude[..., None] > 0), grid, height, width)
    u, v = place_in_grid(grid, height, width)
    # a photo pixel may change only where a grid pixel of the mask is less than one grid pixel away
    reach = cv2.dilate((grid.amplitude > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    inside = (u > -1) & (v > -1) & (u < SIZE) & (v < SIZE)
    near = np.zeros((height, width), bool)
    columns, rows = (np.clip(np.rint(w), 0, SIZE - 1).astype(int) for w in (u, v))
    near[inside] = reach[rows[inside], columns[inside]] > 0
    assert (onto[~near] == 0).all()


@given(scenes())
@settings(max_examples=40, deadline=None)
def test_the_mask_lies_on_the_face_and_within_the_photo(scene):
    height, width, box = scene
    grid = grids.cut(picture(height, width), box)
    rows, columns = np.nonzero(grid.amplitude)
    m = grid.to_grid
    x, y = (columns - m[0, 2]) / m[0, 0], (rows - m[1, 2]) / m[1, 1]
    assert ((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)).all()
    # no further from the box than the box is large, and at least the middle of the face is covered
    w, h = box[2] - box[0], box[3] - box[1]
    assert ((x > box[0] - w) & (x < box[2] + w) & (y > box[1] - h) & (y < box[3] + h)).all()
    cx, cy = (box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2
    if 3 < cx < width - 4 and 3 < cy < height - 4:
        u, v = round(m[0, 0] * cx + m[0, 2]), round(m[1, 1] * cy + m[1, 2])
        assert grid.amplitude[v, u] > 0


@given(scenes())
@settings(max_examples=40, deadline=None)
def test_outside_the_photo_the_grid_is_black_and_inside_it_is_the_photo(scene):
    height, width, box = scene
    photo = picture(height, width)
    grid = grids.cut(photo, box)
    m = grid.to_grid
    v, u = np.mgrid[:SIZE, :SIZE]
    x, y = (u - m[0, 2]) / m[0, 0], (v - m[1, 2]) / m[1, 1]
    margin = 1 / grid.scale
    outside = (x < -margin) | (y < -margin) | (x > width - 1 + margin) | (y > height - 1 + margin)
    assert (grid.pixels[outside] == 0).all()
    if grid.side_px == SIZE:
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        rows, columns = (np.rint(w[inside]).astype(int) for w in (y, x))
        assert np.array_equal(grid.pixels[inside], photo[rows, columns])


@given(scenes())
@example((200, 200, np.array([-90, -90, 10, 10], np.float32)))
@example((200, 200, np.array([190, 190, 400, 400], np.float32)))
@settings(max_examples=30, deadline=None)
def test_lay_never_exceeds_the_peak_of_the_delta(scene):
    """A cubic enlargement overshoots; the budget holds at the size of the photo."""
    height, width, box = scene
    grid = grids.cut(picture(height, width), box)
    steep = np.where(np.random.default_rng(1).random((SIZE, SIZE, 3)) < 0.5, -24, 24).astype(np.float32)
    assert np.abs(laid(steep, grid, height, width)).max() <= 24


@pytest.mark.parametrize("box", [
    (-40, 60, 60, 160), (60, -40, 160, 60), (240, 60, 340, 160), (60, 240, 160, 340), (-40, -40, 60, 60),
    (240, 240, 340, 340), (-50, -60, 360, 380), (-100, 100, 120, 320),
])
def test_a_face_over_the_edge_is_changed_where_it_is(box):
    """An old tool pasted the cloak of such a face onto another place."""
    photo = picture(300, 300)
    grid = grids.cut(photo, np.array(box, np.float32))
    onto = laid(ones() * (grid.amplitude[..., None] > 0), grid, 300, 300)
    rows, columns = np.nonzero(onto[..., 0])
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    assert len(rows) > 50
    assert columns.min() >= x1 - w and columns.max() <= x2 + w
    assert rows.min() >= y1 - h and rows.max() <= y2 + h
    # what is visible of the middle half of the face is covered
    middle = onto[max(y1 + h // 4, 0) : max(y2 - h // 4, 0), max(x1 + w // 4, 0) : max(x2 - w // 4, 0), 0]
    assert middle.size and (middle[1:-1, 1:-1] > 0).all()


@pytest.mark.parametrize("box", [(100, 80, 140, 130), (20, 30, 280, 270), (-60, 40, 300, 380)])
def test_to_grid_maps_photo_points_to_where_the_grid_shows_them(box):
    photo = np.zeros((360, 400, 3), np.uint8)
    point = np.array([150.0, 110.0])
    y, x = np.mgrid[:360, :400]
    photo[...] = (255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 6**2)))[..., None].astype(np.uint8)
    grid = grids.cut(photo, np.array(box, np.float32))
    shown = grid.pixels[..., 0].astype(float)
    v, u = np.mgrid[:SIZE, :SIZE]
    expected = grid.to_grid @ [*point, 1]
    assert (shown * u).sum() / shown.sum() == pytest.approx(expected[0], abs=0.1)
    assert (shown * v).sum() / shown.sum() == pytest.approx(expected[1], abs=0.1)


def test_a_small_face_is_worked_on_pixel_by_pixel():
    photo = picture(400, 400)
    grid = grids.cut(photo, np.array([150, 160, 190, 210], np.float32))
    assert grid.side_px == SIZE and grid.scale == 1
    delta = noise() * (grid.amplitude[..., None] > 0)
    onto = laid(delta, grid, 400, 400)
    assert np.array_equal(onto[grid.top : grid.top + SIZE, grid.left : grid.left + SIZE], delta)


@pytest.mark.parametrize("face_px", [20, 130, 200, 520])
def test_a_delta_laid_on_the_photo_comes_back_when_the_face_is_cut_again(face_px):
    photo = np.full((1000, 1000, 3), 128, np.uint8)
    box = np.array([300, 320, 300 + face_px, 320 + face_px], np.float32)
    grid = grids.cut(photo, box)
    smooth = cv2.GaussianBlur(noise(5) * 10, (0, 0), 3) * (grid.amplitude[..., None] > 0)
    changed = photo + laid(smooth, grid, 1000, 1000)
    again = grids.cut(np.rint(changed).astype(np.uint8), box).pixels.astype(np.float32) - 128
    inner = grid.amplitude > 0.5 * grid.amplitude.max()
    error = (again - smooth)[inner]
    assert np.abs(smooth[inner]).max() > 8
    assert np.sqrt((error**2).mean()) < 0.1 * np.sqrt((smooth[inner] ** 2).mean()) + 0.3


def test_lay_adds_so_that_two_faces_may_overlap():
    photo = picture(300, 300)
    left, right = (grids.cut(photo, np.array([x, 90, x + 80, 180], np.float32)) for x in (80, 120))
    onto = np.zeros((300, 300, 3), np.float32)
    for grid in (left, right):
        grids.lay(ones() * (grid.amplitude[..., None] > 0), grid, onto)
    expected = laid(ones() * (left.amplitude[..., None] > 0), left, 300, 300) + laid(
        ones() * (right.amplitude[..., None] > 0), right, 300, 300)
    assert np.array_equal(onto, expected) and onto.max() == 2


def test_the_photo_itself_is_not_changed_by_cutting():
    photo = picture(200, 200)
    before = photo.copy()
    grids.cut(photo, np.array([50, 50, 120, 130], np.float32)).pixels[...] = 0
    assert np.array_equal(photo, before)
