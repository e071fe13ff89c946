"""The camera's motion is found in pictures, and people's ways are told apart from it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from cloak.video import tracking
from cloak.video.camera import STILL, Camera, motion, small
from cloak.video.looking import Look, Sighting


@pytest.fixture(scope="module")
def wall() -> np.ndarray:
    """Blurred noise, as rich as a street."""
    noise = np.random.default_rng(1).integers(0, 256, (500, 800), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def seen(wall: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(wall, matrix, (640, 360))


@pytest.mark.parametrize("zoom,turn,shift", [(1, 0, (7, -4)), (1.03, 0, (0, 0)), (1, 0.02, (-12, 5)),
                                             (0.98, -0.01, (3, 9))])
def test_shift_zoom_and_turn_are_found(wall, zoom, turn, shift):
    c, s = zoom * math.cos(turn), zoom * math.sin(turn)
    step = np.array([[c, -s, shift[0]], [s, c, shift[1]]])
    first = np.array([[1.0, 0, -60], [0, 1, -50]])
    then = np.vstack([step, [0, 0, 1]]) @ np.vstack([first, [0, 0, 1]])
    found = np.array(motion(small(seen(wall, first)), small(seen(wall, then[:2])), 640)).reshape(2, 3)
    for corner in ((0, 0), (640, 0), (0, 360), (640, 360)):
        assert found[:, :2] @ corner + found[:, 2] == pytest.approx(step[:, :2] @ corner + step[:, 2], abs=0.7)


def test_a_crowd_that_walks_is_not_taken_for_the_camera(wall):
    before = seen(wall, np.array([[1.0, 0, -60], [0, 1, -50]]))
    after = before.copy()
    for x in (50, 250, 450):  # a third of the picture
        after[100:340, x + 9 : x + 99] = before[100:340, x : x + 90]
    assert motion(small(before), small(after), 640) == pytest.approx(STILL, abs=0.2)


@pytest.mark.parametrize("before,after", [
    (np.zeros((90, 160), np.uint8), np.zeros((90, 160), np.uint8)),
    (np.full((90, 160), 255, np.uint8), np.random.default_rng(0).integers(0, 256, (90, 160), np.uint8)),
])
def test_where_nothing_agrees_the_camera_stands_still(before, after):
    assert motion(before, after, 640) == STILL


def test_places_are_carried_there_and_back():
    camera = Camera()
    for frame in range(1, 8):
        camera.add(frame, (1.01, 0.002, 5.0, -0.002, 1.01, -3.0))
    box = (100.0, 50.0, 140.0, 100.0)
    there = camera.centre(box, 0, 7)
    back = camera.centre((*(there - 1), *(there + 1)), 7, 0)
    assert back == pytest.approx((120, 75), abs=1e-6) and np.hypot(*(there - (120, 75))) > 30
    assert camera.steps(range(0, 2)) == (STILL, (1.01, 0.002, 5.0, -0.002, 1.01, -3.0))


def test_a_hidden_face_is_covered_where_it_is_though_the_camera_shakes():
    """She walks 3 pixels a frame and is not seen for 12 frames and beyond the last one; the hand jumps by up to 40."""
    jumps = np.random.default_rng(3).integers(-40, 41, (40, 2))
    jumps[0] = 0
    shaken = jumps.cumsum(0)
    looks = []
    for n in range(40):
        x, y = 300 + 3 * n + shaken[n, 0], 200 + shaken[n, 1]
        sighted = n < 10 or 22 <= n < 36
        moves = ((1.0, 0.0, float(jumps[n, 0]), 0.0, 1.0, float(jumps[n, 1])),) if n else ()
        before = 0 if n and looks[-1].sightings and sighted else None
        her = Sighting((x - 20, y - 25, x + 20, y + 25), 0.9, None, before)
        looks.append(Look(n, n == 0, (her,) if sighted else (), (), moves))
    (track,) = tracking.tracks(looks, (2000, 2000), 40)
    assert [spot.frame for spot in track.spots] == list(range(40))
    for spot in track.spots:
        x, y = 300 + 3 * spot.frame + shaken[spot.frame, 0], 200 + shaken[spot.frame, 1]
        assert ((spot.box[0] + spot.box[2]) / 2, (spot.box[1] + spot.box[3]) / 2) == pytest.approx((x, y), abs=1)


def test_one_person_before_a_plain_wall_is_not_the_camera(wall):
    before, after = np.full((360, 640), 90, np.uint8), np.full((360, 640), 90, np.uint8)
    before[100:220, 200:300] = wall[:120, :100]
    after[100:220, 212:312] = wall[:120, :100]
    assert motion(small(before), small(after), 640) == STILL
