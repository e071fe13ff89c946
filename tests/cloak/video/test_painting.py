"""What is painted into a frame's planes: all that must be, nothing else, and nothing that tells of the face."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cloak import masks
from cloak.errors import PlanInvalid, SettingsInvalid
from cloak.video.look import STYLES, Look, parse_colour
from cloak.video.painting import Painter
from cloak.video.palette import Palette, subsampling
from cloak.video.shapes import Shapes, lost_frames, subsampled
from cloak.video.types import Area, Clip, Colour, Frame, Plan, Spot, Track

SIZE = (161, 121)  # odd, so that chroma planes end in half samples
EVERY = ("solid", "mosaic", "blur", "ring", "picture")
FORMATS = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2), "411": (4, 1)}


def a_clip(depth=8, **colour):
    return Clip(Path("clip.mp4"), SIZE, 0, "h264", "yuv420p" + "10le" * (depth == 10), depth, 9, Fraction(25), 0.36,
                Fraction(1, 25), Fraction(1), Colour(**colour), (), ())


def a_frame(number=0, depth=8, across=2, down=2, seed=0, luma_only=False):
    rng = np.random.default_rng(seed + number)
    dtype = np.uint8 if depth == 8 else np.uint16
    shapes = [SIZE[::-1], *[(-(-SIZE[1] // down), -(-SIZE[0] // across))] * (0 if luma_only else 2)]
    # Noise never reaches what black, or neutral chroma, is
    planes = tuple(rng.integers(40 << (depth - 8), 120 << (depth - 8), shape).astype(dtype) for shape in shapes)
    return Frame(number, number, number / 25, planes, lambda: np.zeros((*SIZE[::-1], 3), np.uint8))


def still(box, frames=9, first=0, **more):
    return Track(1, tuple(Spot(i, box, 0.9, "seen") for i in range(first, first + frames)), **more)


def a_plan(*tracks, **more):
    numbered = tuple(replace(track, number=i + 1) for i, track in enumerate(tracks))
    return Plan("clip.mp4", "0" * 64, SIZE, 9, more.pop("cuts", ()), numbered, **more)


def a_look(tmp_path, style, **more):
    if style == "picture":
        rgba = np.random.default_rng(5).integers(0, 256, (30, 50, 4), dtype=np.uint8)
        Image.fromarray(rgba).save(tmp_path / "p.png")
        more["picture"] = tmp_path / "p.png"
    return Look(style, **more)


def painted(plan, look, frame, clip=None):
    """(planes after, covers of this frame)"""
    painter = Painter(plan, clip or a_clip(), look)
    painter.paint(frame)
    return frame.planes, painter.shapes.at(frame.number)


def union(covers, shape):
    inside = np.zeros(shape, np.bool_)
    for cover in covers:
        for (y, x) in np.argwhere(cover.patch.mask) + (cover.patch.top, cover.patch.left):
            if 0 <= y < shape[0] and 0 <= x < shape[1]:
                inside[y, x] = True
    return inside


@pytest.mark.parametrize("style", EVERY)
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("across, down", FORMATS.values(), ids=FORMATS.keys())
def test_nothing_outside_the_covers_changes_and_nothing_inside_stays(tmp_path, style, depth, across, down):
    plan = a_plan(still((40.3, 30.2, 71.9, 70.8)), still((-12, 90, 20, 130)), still((150, 60, 175.5, 95)),
                  areas=(Area((100.0, 10.0, 111.0, 17.0), 0, 8),))
    frame = a_frame(depth=depth, across=across, down=down)
    before = [plane.copy() for plane in frame.planes]
    after, covers = painted(plan, a_look(tmp_path, style), frame, a_clip(depth))
    inside = union(covers, after[0].shape)
    assert np.array_equal(after[0][~inside], before[0][~inside])
    black = 16 << (depth - 8)
    if style == "solid":
        assert (after[0][inside] == black).all()
    # Every sample of chroma that a covered pixel, or its neighbour, is part of; worked out sample by sample
    grown = np.pad(inside, ((2, 8), (2, 8)))
    touched = np.array([[grown[y * down + 2 - (down > 1) : (y + 1) * down + 2 + (down > 1),
                               x * across + 2 - (across > 1) : (x + 1) * across + 2 + (across > 1)].any()
                         for x in range(after[1].shape[1])] for y in range(after[1].shape[0])])
    for now, then in zip(after[1:], before[1:]):
        assert np.array_equal(now[~touched], then[~touched])
        if style == "solid":
            assert (now[touched] == 128 << (depth - 8)).all()


@pytest.mark.parametrize("style", EVERY)
def test_what_is_painted_does_not_hang_on_the_face_of_that_frame(tmp_path, style):
    """Two clips that differ under the covers of their second frame only come out the same."""
    plan, look = a_plan(still((40.0, 30.0, 72.0, 70.0))), a_look(tmp_path, style)
    results = []
    for seed in (1, 2):
        painter = Painter(plan, a_clip(), look)
        painter.paint(a_frame(0))
        second = a_frame(1)
        other = a_frame(1, seed=seed)
        for cover in painter.shapes.at(1):
            for plane, source in zip(second.planes, other.planes):
                across, down = subsampling(second.planes[0].shape, plane.shape)
                patch = subsampled(cover.patch, across, down)
                rows, columns = patch.mask.shape
                where = np.s_[patch.top : patch.top + rows, patch.left : patch.left + columns]
                plane[where][patch.mask] = source[where][patch.mask]
        painter.paint(second)
        results.append(second.planes)
    for one, other in zip(*results):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("style", ["mosaic", "blur"])
def test_a_mosaic_has_few_colours_and_keeps_them_over_its_track(style):
    moving = Track(1, tuple(Spot(i, (30.0 + 4 * i, 30.0, 62.0 + 5 * i, 70.0 + i), 0.9, "seen") for i in range(9)))
    painter = Painter(a_plan(moving), a_clip(), Look(style))
    colours = []
    for number in range(9):
        frame = a_frame(number, across=1, down=1)
        painter.paint(frame)
        inside = union(painter.shapes.at(number), SIZE[::-1])
        colours.append({tuple(int(plane[y, x]) for plane in frame.planes) for y, x in np.argwhere(inside)})
    if style == "mosaic":
        assert all(len(found) <= 9 for found in colours)
        assert len(set().union(*colours)) <= 9
    else:
        assert all(len(found) > 9 for found in colours)


def test_the_noise_of_a_mosaic_cannot_be_worked_out_from_the_output():
    """Another face under the same cover of the same clip gets other noise, so the seed hangs on what is covered."""
    from cloak.obfuscators import mosaic
    seeds = []
    original = mosaic.reduce
    try:
        mosaic.reduce = lambda pixels, mask, *, seed: (seeds.append(seed), original(pixels, mask, seed=seed))[1]
        for seed in (0, 0, 3):
            painted(a_plan(still((40.0, 30.0, 72.0, 70.0))), Look("mosaic"), a_frame(seed=seed))
    finally:
        mosaic.reduce = original
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_ring_holds_nothing_of_another_covered_head():
    """The neighbour's head is the only bright thing in a dark frame; beside it the ring stays dark."""
    left, right = (30.0, 40.0, 60.0, 80.0), (70.0, 40.0, 100.0, 80.0)
    plan = a_plan(still(left), still(right))
    frame = a_frame(across=1, down=1)
    covers = Shapes(plan, Look("ring")).at(0)
    frame.planes[0][...] = 50
    frame.planes[0][union(covers[1:], SIZE[::-1])] = 230
    frame.planes[0][union(covers[:1], SIZE[::-1])] = 210
    painted(plan, Look("ring"), frame)
    assert frame.planes[0].max() == 50


def test_a_picture_never_lets_the_face_through(tmp_path):
    Image.fromarray(np.zeros((20, 20, 4), np.uint8)).save(tmp_path / "clear.png")  # all of it transparent
    plan, frame = a_plan(still((40.0, 30.0, 72.0, 70.0))), a_frame()
    _, covers = painted(plan, Look("picture", colour=(255, 255, 255), picture=tmp_path / "clear.png"), frame)
    assert (frame.planes[0][union(covers, SIZE[::-1])] == 235).all()


def test_a_picture_is_drawn_over_the_head(tmp_path):
    Image.new("RGB", (40, 40), (255, 0, 0)).save(tmp_path / "red.png")
    frame = a_frame()
    painted(a_plan(still((40.0, 30.0, 72.0, 70.0))), Look("picture", picture=tmp_path / "red.png"), frame)
    assert abs(int(frame.planes[0][50, 56]) - 81) <= 1 and abs(int(frame.planes[2][25, 28]) - 240) <= 1  # BT.601's red


@pytest.mark.parametrize("picture", [None, Path("not-there.png"), Path(__file__)])
def test_a_picture_that_is_none_is_refused(picture):
    with pytest.raises(SettingsInvalid, match="Nothing was written"):
        Painter(a_plan(still((40.0, 30.0, 72.0, 70.0))), a_clip(), Look("picture", picture=picture))


box_of = st.tuples(st.floats(-60, 180), st.floats(-60, 140), st.floats(3, 90), st.floats(3, 90)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(max_examples=60, deadline=None)
@given(box_of, st.tuples(st.floats(-15, 15), st.floats(-15, 15)), st.integers(0, 8))
def test_the_face_is_covered_where_it_is_and_where_it_is_a_frame_before_and_after(box, step, number):
    spots = tuple(Spot(i, (box[0] + i * step[0], box[1] + i * step[1], box[2] + i * step[0], box[3] + i * step[1]), 0.9,
                       "seen") for i in range(9))
    plan = a_plan(Track(1, spots))
    shapes = Shapes(plan, Look())
    inside = union(shapes.at(number), SIZE[::-1])
    for near in range(max(number - 1, 0), min(number + 1, 8) + 1):
        for between in (0, 0.5) if near < min(number + 1, 8) else (0,):
            x1, y1 = (spots[near].box[k] + between * step[k] for k in (0, 1))
            x2, y2 = (spots[near].box[k + 2] + between * step[k] for k in (0, 1))
            # Between two frames the middle of the face is enough, for steps of a fifth of it are bridged
            m = 0.0 if between == 0 else 0.3
            x1, x2, y1, y2 = x1 + m * (x2 - x1), x2 - m * (x2 - x1), y1 + m * (y2 - y1), y2 - m * (y2 - y1)
            part = inside[max(int(np.floor(y1)), 0) : max(int(np.ceil(y2)), 0),
                          max(int(np.floor(x1)), 0) : max(int(np.ceil(x2)), 0)]
            assert part.all()


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_a_cover_is_hardly_larger_than_a_head(degrees):
    angle = np.radians(degrees)
    points = np.array([(-7, -6), (7, -6), (0, 1), (-5, 8), (5, 8)]) @ [[np.cos(angle), np.sin(angle)],
                                                                     [-np.sin(angle), np.cos(angle)]] + (60, 60)
    box = (42.0, 38.0, 78.0, 82.0)
    track = Track(1, tuple(Spot(i, box, 0.9, "seen", tuple(map(tuple, points))) for i in range(9)))
    (cover,) = Shapes(a_plan(track), Look()).at(4)
    head = masks.head(np.array(box), points)
    ours, theirs = union([cover], (200, 200)), union([type(cover)(("", 0), "", head, (0, 0, 0, 0))], (200, 200))
    # Of a photo's outline .93 each way is wanted, and sides are rounded up
    assert (ours & theirs).sum() > 0.85 * theirs.sum() and ours.sum() < 1.05 * theirs.sum()


def test_a_head_without_landmarks_is_turned_as_it_is_before_and_after():
    def lying(i):
        return ((66.0, 52.0), (66.0, 66.0), (59.0, 59.0), (52.0, 54.0), (52.0, 64.0)) if i in (2, 6) else None
    box = (42.0, 40.0, 78.0, 76.0)
    track = Track(1, tuple(Spot(i, box, 0.9, "seen", lying(i)) for i in range(9)))
    shapes = Shapes(a_plan(track), Look())
    seen, between = (union(shapes.at(i), (200, 200)) for i in (2, 4))
    upright = union(Shapes(a_plan(still(box)), Look()).at(4), (200, 200))
    assert np.array_equal(seen, between) and not np.array_equal(seen, upright)


def test_covers_begin_early_and_end_late_but_never_over_a_cut():
    first, second = still((40.0, 30.0, 72.0, 70.0), 2, first=2), still((90.0, 30.0, 122.0, 70.0), 1, first=6)
    shapes = Shapes(a_plan(first, second, cuts=(5, 7)), Look())
    assert [[cover.key[1] for cover in shapes.at(i)] for i in range(9)] == [[], *[[1]] * 4, *[[2]] * 2, [], []]


def test_a_hidden_face_wins_over_a_kept_one():
    box = (40.0, 30.0, 72.0, 70.0)
    frame = a_frame()
    painted(a_plan(still(box, decision="keep"), still((60.0, 30.0, 92.0, 70.0))), Look(), frame)
    assert (frame.planes[0][35:65, 62:72] == 16).all()  # where they overlap
    assert (frame.planes[0][40:60, 41:45] != 16).all()  # what is the kept one's alone


def test_each_track_has_its_own_style():
    frame = a_frame(across=1, down=1)
    tracks = still((20.0, 30.0, 52.0, 70.0)), still((100.0, 30.0, 132.0, 70.0), style="ring")
    painted(a_plan(*tracks), Look(colour=(255, 255, 255)), frame)
    assert frame.planes[0][50, 36] == 235 and 40 <= frame.planes[0][50, 116] <= 120


def test_nothing_is_covered_outside_the_span():
    painter = Painter(a_plan(still((40.0, 30.0, 72.0, 70.0))), a_clip(), Look(start_s=0.08, end_s=0.2))
    changed = []
    for number in range(9):
        frame, same = a_frame(number), a_frame(number)
        painter.paint(frame)
        changed.append(not np.array_equal(frame.planes[0], same.planes[0]))
    assert changed == [False, False, True, True, True, False, False, False, False]


def test_while_a_face_is_lost_the_paranoid_see_nothing():
    middle, corner = (60.0, 40.0, 92.0, 80.0), (2.0, 2.0, 30.0, 40.0)
    lost = replace(still(middle, 3), is_lost=True)
    assert lost_frames(a_plan(lost)) == [(3, 8)]
    assert lost_frames(a_plan(lost, cuts=(6,))) == [(3, 5)]
    assert lost_frames(a_plan(lost, still((62.0, 40.0, 94.0, 80.0), 3, first=6))) == [(3, 5)]  # found again
    assert lost_frames(a_plan(replace(lost, decision="keep"))) == []
    assert lost_frames(a_plan(replace(still(corner, 3), is_lost=True))) == []  # it left the picture
    assert lost_frames(a_plan(replace(still(middle, 3, first=6), is_lost=True))) == [(0, 5)]
    frame = a_frame(4)
    Painter(a_plan(lost), a_clip(), Look(paranoid=True)).paint(frame)
    assert (frame.planes[0] == 16).all() and (frame.planes[1] == 128).all()
    frame = a_frame(4)
    Painter(a_plan(lost), a_clip(), Look()).paint(frame)
    assert not (frame.planes[0] == 16).all()


def test_grey_clips_have_one_plane():
    for style in ("solid", "mosaic", "blur", "ring"):
        frame = a_frame(luma_only=True)
        before = frame.planes[0].copy()
        painted(a_plan(still((40.0, 30.0, 72.0, 70.0))), Look(style), frame)
        assert not np.array_equal(frame.planes[0], before)


def test_a_frame_of_another_size_is_refused():
    frame = a_frame()
    with pytest.raises(ValueError, match="not painted"):
        Painter(replace(a_plan(), size=(100, 100)), a_clip(), Look()).paint(frame)


def test_painting_again_gives_the_same_bytes_from_any_frame_on():
    """Solid covers hang on nothing that came before: frame by frame in any order."""
    moving = Track(1, tuple(Spot(i, (30.0 + 9 * i, 30.0, 62.0 + 9 * i, 70.0), 0.9, "seen") for i in range(9)))
    forwards, backwards = ({}, {})
    for order, found in ((range(9), forwards), (reversed(range(9)), backwards)):
        painter = Painter(a_plan(moving), a_clip(), Look())
        for number in order:
            frame = a_frame(number)
            painter.paint(frame)
            found[number] = frame.planes[0].tobytes()
    assert forwards == backwards


# BT.601 and BT.709 in limited range, by the tables of the standards; and full range
@pytest.mark.parametrize("colour, depth, more, codes", [
    ((255, 255, 255), 8, {}, (235, 128, 128)), ((0, 0, 0), 10, {}, (64, 512, 512)),
    ((255, 0, 0), 8, {"matrix": "smpte170m"}, (81, 90, 240)), ((255, 0, 0), 8, {"matrix": "bt709"}, (63, 102, 240)),
    ((0, 0, 255), 8, {"matrix": "bt709"}, (32, 240, 118)), ((0, 0, 0), 8, {"range": "pc"}, (0, 128, 128)),
    ((255, 255, 255), 10, {"range": "pc"}, (1023, 512, 512)),
    ((255, 255, 255), 10, {"matrix": "bt2020nc", "transfer": "smpte2084"}, (64 + round(876 * 0.58), 512, 512)),
])
def test_colours_become_the_codes_of_the_standards(colour, depth, more, codes):
    assert np.allclose(Palette.of(a_clip(depth, **more)).solid(colour), codes, atol=1)


@given(st.tuples(*[st.integers(0, 255)] * 3), st.sampled_from(["bt709", "smpte170m", "bt2020nc"]),
       st.sampled_from(["tv", "pc"]), st.sampled_from([8, 10]))
def test_codes_and_colours_are_inverse(colour, matrix, full, depth):
    palette = Palette.of(a_clip(depth, matrix=matrix, range=full))
    assert np.abs(palette.rgb(palette.codes(np.array(colour))).astype(int) - colour).max() <= 1


def test_a_look_comes_back_from_a_plan(tmp_path):
    look = Look("picture", (1, 2, 3), tmp_path / "p.png", True, 1.5, 9.25)
    assert Look.from_dict(look.to_dict(), named="plan") == replace(look, picture=Path("p.png"))
    for broken in (None, {}, {**look.to_dict(), "more": 1}, {**look.to_dict(), "colour": [1, 2]},
                   {**look.to_dict(), "paranoid": 1}, {**look.to_dict(), "start_s": "x"},
                   {**look.to_dict(), "style": "sold"}):
        with pytest.raises(PlanInvalid):
            Look.from_dict(broken, named="plan")


@pytest.mark.parametrize("wrong", [{"style": "blurry"}, {"colour": (0, 0, 256)}, {"start_s": -1.0},
                                   {"start_s": 3.0, "end_s": 3.0}, {"end_s": float("nan")}])
def test_a_look_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(SettingsInvalid):
        Look(**wrong)


def test_colours_are_named_or_given_in_hexadecimal():
    assert parse_colour("#ff8000") == (255, 128, 0) and parse_colour("white") == (255, 255, 255)
    for text in ("#ff80", "red-ish", "#gggggg", ""):
        with pytest.raises(SettingsInvalid):
            parse_colour(text)


assert set(EVERY) == set(STYLES)
