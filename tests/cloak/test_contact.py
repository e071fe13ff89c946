"""The picture with the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageDraw

from cloak import contact
from cloak.types import Faces


def faces(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Faces(boxes, np.zeros((len(boxes), 5, 2), np.float32), np.ones(len(boxes), np.float32))


def crowd(columns, rows, pitch, side, offset=60):
    """Boxes in rows, `side` pixels wide, one every `pitch` pixels."""
    return np.array([[offset + x * pitch, offset + y * pitch, offset + x * pitch + side, offset + y * pitch + side]
                     for y in range(rows) for x in range(columns)], np.float64)


def shared(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return max(sides[0], 0) * max(sides[1], 0)


def grey(height, width, value=128):
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("shape, longest, expected", [
    ((3000, 4000), 2000, (1500, 2000)), ((4000, 1000), 2000, (2000, 500)), ((800, 1000), 2000, (800, 1000)),
    ((800, 1000), 100, (80, 100)), ((480, 480), 2000, (480, 480)), ((240, 320), 2000, (480, 640)),
    ((20, 20), 2000, (160, 160)), ((10, 4000), 2000, (5, 2000)), ((1, 1), 5, (5, 5)),
])
def test_the_picture_is_made_smaller_and_only_a_tiny_one_larger(shape, longest, expected):
    assert contact.draw(grey(*shape), Faces.none(), longest_px=longest).shape[:2] == expected


def test_a_photo_without_faces_is_shown_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    assert np.array_equal(contact.draw(pixels, Faces.none()), pixels)


def test_the_photo_itself_and_what_is_in_the_boxes_stay():
    pixels = np.random.default_rng(0).integers(0, 256, (600, 900, 3), dtype=np.uint8)
    before = pixels.copy()
    drawn = contact.draw(pixels, faces([[100, 150, 200, 270], [500, 300, 560, 380], [0, 0, 90, 120]]))
    assert np.array_equal(pixels, before) and drawn.shape == pixels.shape
    for x1, y1, x2, y2 in ((100, 150, 200, 270), (500, 300, 560, 380), (9, 9, 90, 120)):
        assert np.array_equal(drawn[y1:y2, x1:x2], pixels[y1:y2, x1:x2]), "the face is to be looked at"
    assert (drawn[50, :5] != pixels[50, :5]).any(), "a box at the rim is seen on all sides"
    assert (drawn != pixels).any(2).mean() > 0.005


@pytest.mark.parametrize("ground", [0, 60, 128, 200, 255])
def test_box_and_number_show_on_any_ground(ground):
    drawn = contact.draw(grey(600, 800, ground), faces([[300, 200, 400, 320]]))
    changed = drawn[(drawn != ground).any(2)].astype(float)
    luminance = changed @ (0.2126, 0.7152, 0.0722)
    assert (np.abs(luminance - ground) > 90).sum() > 500
    row = drawn[260, 280:300].astype(float) @ (0.2126, 0.7152, 0.0722)
    assert np.ptp(row) > 120, "the line has a dark and a bright part"


def test_black_is_read_on_every_colour():
    for colour in contact._COLOURS:
        linear = ((np.array(colour) / 255 + 0.055) / 1.055) ** 2.4
        assert (linear @ (0.2126, 0.7152, 0.0722) + 0.05) / 0.05 > 7, "WCAG 2.1, level AAA"


def test_each_face_gets_its_own_number_beside_it(monkeypatch):
    """In the order of `Faces`, wherever they are."""
    written = {}
    plain = ImageDraw.ImageDraw.text

    def text(self, xy, text, **options):
        written[text] = xy
        return plain(self, xy, text, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    boxes = [[500, 200, 580, 300], [100, 200, 180, 300], [300, 500, 380, 590]]
    both = contact.draw(grey(600, 800), faces(boxes))
    assert list(written) == ["1", "2", "3"]
    for (x, y), (x1, y1, x2, y2) in zip(written.values(), boxes):
        assert x1 - 30 < x < x2 + 30 and y1 - 30 < y < y2 + 30
    one = contact.draw(grey(600, 800), faces(boxes[:1]))
    assert np.array_equal(both[:, 450:], one[:, 450:]) and not np.array_equal(both, one)


def test_numbers_are_large_enough_to_read_when_the_picture_is_small():
    drawn = contact.draw(grey(60, 80), faces([[30, 30, 50, 55]]))
    plate = (drawn == contact._COLOURS[0]).all(2)
    rows = np.flatnonzero(plate.sum(1) > 8)
    assert np.ptp(rows) > 15


@pytest.mark.parametrize("columns, rows, pitch, side, size", [
    (10, 6, 120, 50, (1300, 800)), (10, 6, 75, 40, (900, 600)), (16, 4, 60, 22, (1100, 400)), (1, 1, 9, 90, (300, 300)),
])
def test_where_there_is_room_numbers_cover_neither_faces_nor_each_other(columns, rows, pitch, side, size):
    boxes = crowd(columns, rows, pitch, side)
    plates = np.array([[34.0, 22.0]] * len(boxes))
    labels = contact.place(boxes, plates, size)
    assert len(labels) == len(boxes)
    for i, label in enumerate(labels):
        assert sum(shared(label.box, box) for box in boxes) == 0
        assert sum(shared(label.box, other.box) for other in labels[:i]) == 0
        assert not label.is_apart, "and each stands at its own face"


def test_in_a_crowd_without_room_numbers_still_do_not_cover_each_other():
    boxes = crowd(16, 6, 66, 58, offset=4)
    labels = contact.place(boxes, np.array([[30.0, 20.0]] * len(boxes)), (1060, 400))
    covered = sum(shared(a.box, b.box) for i, a in enumerate(labels) for b in labels[:i])
    assert covered < 0.02 * len(boxes) * 600


def test_a_number_at_the_rim_stays_in_the_picture():
    boxes = np.array([[0, 0, 40, 50], [460, 0, 500, 50], [0, 350, 40, 400], [460, 350, 500, 400], [-30, 100, 10, 150]],
                     np.float64)
    for label, box in zip(contact.place(boxes, np.array([[30.0, 20.0]] * 5), (500, 400)), boxes):
        assert (label.box >= 0).all() and (label.box <= (500, 400, 500, 400)).all()
        assert shared(label.box, box) == 0


@given(st.lists(st.tuples(*[st.floats(-50, 450)] * 2, *[st.floats(1, 300)] * 2), max_size=25), st.data())
def test_any_faces_get_labels_in_the_picture(found, data):
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in found]).reshape(-1, 4)
    width, height = data.draw(st.integers(40, 600)), data.draw(st.integers(40, 600))
    labels = contact.place(boxes, np.array([[30.0, 20.0]] * len(boxes)).reshape(-1, 2), (width, height))
    assert len(labels) == len(boxes)
    for label in labels:
        assert (label.box >= 0).all() and (label.box <= (width, height, width, height)).all()


def test_boxes_are_scaled_with_the_picture():
    """Of a photo twice as large the contact picture shows the same."""
    large = contact.draw(grey(1200, 1600), faces([[600, 400, 800, 640]]), longest_px=800)
    assert np.array_equal(large, contact.draw(grey(600, 800), faces([[300, 200, 400, 320]]), longest_px=800))


def test_a_view_of_a_photo_is_drawn_too():
    assert contact.draw(grey(500, 600)[::-1, ::-1], faces([[100, 100, 150, 160]])).shape == (500, 600, 3)


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ValueError, match="longest_px is 0"):
        contact.draw(grey(5, 5), Faces.none(), longest_px=0)
