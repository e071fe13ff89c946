"""How CenterFace cuts up a large picture; what it finds there is in tests/contracts."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cloak import io_image
from cloak.detectors import centerface

sides = st.integers(1, 12_000)


@given(sides)
def test_tiles_cover_a_side_have_one_length_and_share_the_overlap(side):
    starts, length = centerface._cuts(side)
    assert length <= centerface._TILE_PX and starts[0] == 0 and starts[-1] + length == side
    assert all(b - a <= length - centerface._OVERLAP_PX + 1 for a, b in zip(starts, starts[1:]))
    assert all(a < b for a, b in zip(starts, starts[1:]))


@given(st.integers(1, 1500), st.integers(1, 1500))
def test_views_end_with_one_that_a_single_pass_sees_and_that_fits_a_tile(height, width):
    *_, last = views = list(centerface._views(np.zeros((height, width, 3), np.uint8)))
    assert max(last.shape) <= centerface._LAST_SIDE_PX <= centerface._TILE_PX
    assert all(min(view.shape) >= 1 for view in views)
    # A face that a view is not believed for is large enough in the next one
    assert centerface._LARGEST_FACE_PX / centerface._REDUCTION >= 64


def test_the_network_never_sees_more_than_a_tile_at_once(monkeypatch):
    """Its memory is 270 bytes per pixel, so this is what bounds it."""
    seen = []
    detector = centerface.load(torch.device("cpu"))
    decode = detector._decode
    monkeypatch.setattr(detector, "_decode", lambda tile: (seen.append(tile.shape), decode(tile[:32, :32]))[1])
    detector.detect([np.zeros((3000, 4000, 3), np.uint8)])
    assert len(seen) > 10 and max(height * width for height, width, _ in seen) <= centerface._TILE_PX**2


@pytest.mark.parametrize("tile_px", [256, 320, 448])
def test_tiles_find_what_one_pass_finds(monkeypatch, portrait, tile_px):
    pixels = io_image.read_photo(portrait, max_pixels=10**7).pixels
    detector = centerface.load(torch.device("cpu"))
    (whole,) = detector.detect([pixels])
    monkeypatch.setattr(centerface, "_TILE_PX", tile_px)
    monkeypatch.setattr(centerface, "_OVERLAP_PX", 160)
    (cut,) = detector.detect([pixels])
    assert len(whole) == len(cut) == 1
    for field in dataclasses.fields(whole):
        np.testing.assert_allclose(getattr(whole, field.name), getattr(cut, field.name), atol=4)


def test_the_weights_for_clips_see_a_smeared_face_that_the_published_ones_do_not(portrait):
    """Of a person whom they were not taught with."""
    pixels = io_image.read_photo(portrait, max_pixels=10**7).pixels
    published, in_motion = (centerface.CenterFace(threads=1, in_motion=flag) for flag in (False, True))
    face = published.glance(pixels, 0.5).boxes[0]
    scale = 36 / (face[3] - face[1])
    small = np.full((256, 256, 3), 90, np.uint8)
    reduced = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small[60 : 60 + reduced.shape[0], 60 : 60 + reduced.shape[1]] = reduced
    smeared = (cv2.blur(small, (33, 1)) * 0.6).astype(np.uint8)
    assert not len(published.glance(smeared, 0.3))
    (box,) = in_motion.glance(smeared, 0.4).boxes
    x, y = (face[0] + face[2]) / 2 * scale + 60, (face[1] + face[3]) / 2 * scale + 60
    assert box[0] < x < box[2] and box[1] < y < box[3] and 20 < box[3] - box[1] < 50
    # and sharp ones as well
    assert len(in_motion.glance(pixels, 0.5)) == 1
