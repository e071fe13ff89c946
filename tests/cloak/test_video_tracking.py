"""Tracks are gapless, stay within their shot, reach beyond what was seen, and lose nobody."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloak.video import tracking
from cloak.video.looking import Look, Place, Sighting

SIZE = (640, 360)


def box_at(x: float, y: float, side: float = 40.0) -> tuple[float, float, float, float]:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def holds(box: tuple[float, ...], inner: tuple[float, ...]) -> bool:
    """But for the tenth of a pixel to which boxes are rounded."""
    low, high = np.array(box[:2]) - 0.1, np.array(box[2:]) + 0.1
    return bool((low <= inner[:2]).all() and (high >= inner[2:]).all())


def walk(seen: dict[int, tuple[float, float]], frames: range, cuts: tuple[int, ...] = ()) -> list[Look]:
    """Looks at every frame of `frames`, at which one person is sighted at the given places, never linked."""
    return [Look(n, n == frames[0] or n in cuts,
                 (Sighting(box_at(*seen[n]), 0.9),) if n in seen else ()) for n in frames]


@st.composite
def clips(draw):
    """(looks, number of frames): random sightings, linked at random, in random shots."""
    frames = draw(st.integers(1, 60))
    stride = draw(st.integers(1, 4))
    looks: list[Look] = []
    for number in sorted({*range(0, frames, stride), frames - 1}):
        begins = number == 0 or draw(st.integers(0, 12)) == 0
        before = () if begins or not looks else looks[-1].sightings
        gap = range(looks[-1].frame + 1, number) if looks else range(0)
        free = list(range(len(before)))
        sightings = []
        for _ in range(draw(st.integers(0, 3))):
            box = box_at(draw(st.floats(-20, 660)), draw(st.floats(-20, 380)), draw(st.floats(4, 200)))
            link = draw(st.sampled_from([None, *free]))
            if link is not None:
                free.remove(link)
            path = tuple(Place(n, box, 0.8) for n in gap) if link is not None else ()
            sightings.append(Sighting(box, draw(st.floats(0.1, 1)), None, link, path))
        ended = tuple((i, tuple(Place(n, before[i].box, 0.7) for n in gap)) for i in free)
        looks.append(Look(number, begins, tuple(sightings), ended))
    return looks, frames


@settings(deadline=None, max_examples=60)
@given(clips())
def test_every_track_is_gapless_and_within_one_shot_and_every_sure_sighting_is_in_one(clip):
    looks, frames = clip
    found = tracking.tracks(looks, SIZE, frames)
    starts = [0, *tracking.cuts(looks)]
    shot_of = np.searchsorted(starts, np.arange(frames), side="right")
    for number, track in enumerate(found, 1):
        numbers = [spot.frame for spot in track.spots]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert 0 <= numbers[0] and numbers[-1] < frames
        assert len(set(shot_of[numbers])) == 1
        assert track.number == number
    boxes = {(spot.frame, spot.box) for track in found for spot in track.spots}
    for look in looks:
        for sighting in look.sightings:
            if sighting.score >= tracking.START_SCORE:
                assert any(frame == look.frame and holds(box, sighting.box) for frame, box in boxes)


@settings(deadline=None, max_examples=20)
@given(clips())
def test_the_same_looks_give_the_same_tracks(clip):
    looks, frames = clip
    assert tracking.tracks(looks, SIZE, frames) == tracking.tracks(list(looks), SIZE, frames)


def test_a_face_that_is_hidden_for_a_while_is_one_track_and_covered_where_it_walks_meanwhile():
    seen = {n: (100.0 + 5 * n, 100.0) for n in [*range(10, 20), *range(32, 40)]}
    looks = [Look(n, n == 0, tuple(
        Sighting(box_at(*seen[n]), 0.9, before=0 if n - 1 in seen else None) for _ in range(n in seen)),
        ((0, ()),) if n - 1 in seen and n not in seen else ()) for n in range(50)]
    (track,) = tracking.tracks(looks, SIZE, 50)
    for spot in track.spots:
        assert (spot.box[0] + spot.box[2]) / 2 == pytest.approx(100 + 5 * spot.frame, abs=1)
    assert {spot.frame for spot in track.spots} >= set(range(10, 40))
    assert {spot.source for spot in track.spots if 20 <= spot.frame < 32} == {"filled"}


def test_a_face_is_covered_before_it_was_first_seen_and_after_it_was_last_seen_where_it_was_heading():
    looks = walk({20: (300, 100)}, range(50))
    linked = [Look(n, n == 0, (Sighting(box_at(300 + 4 * (n - 20), 100), 0.9, before=0 if n > 20 else None),)
                   if 20 <= n <= 24 else (), ((0, ()),) if n == 25 else ()) for n in range(50)]
    for clip, speed in ((looks, 0), (linked, 4)):
        (track,) = tracking.tracks(clip, SIZE, 50)
        assert track.is_lost
        before = [spot for spot in track.spots if spot.frame < 20]
        assert len(before) >= 3 and all(spot.source == "extended" for spot in before)
        for spot in track.spots:
            assert (spot.box[0] + spot.box[2]) / 2 == pytest.approx(300 + speed * (spot.frame - 20), abs=1)
            assert spot.box[2] - spot.box[0] >= 40


def test_a_face_that_leaves_over_the_edge_is_covered_until_it_is_out_and_is_not_lost():
    looks = [Look(n, n == 0, (Sighting(box_at(590 + 6 * n, 100), 0.9, before=0 if n else None),) if n < 6 else (),
                  ((0, ()),) if n == 6 else ()) for n in range(40)]
    (track,) = tracking.tracks(looks, SIZE, 40)
    assert track.spots[-1].box[0] >= 640 - 6
    assert not track.is_lost


def test_two_people_who_cross_stay_two_tracks_and_a_cut_ends_both():
    looks = []
    for n in range(30):
        new = n in (0, 20)
        looks.append(Look(n, new, tuple(Sighting(box_at(x, y), 0.9, before=None if new else i) for i, (x, y) in
                                        enumerate([(100 + 5 * n, 100), (300 - 5 * n, 160)]))))
    found = tracking.tracks(looks, SIZE, 30)
    assert [(track.spots[0].frame, track.spots[-1].frame) for track in found] == [(0, 19), (0, 19), (20, 29), (20, 29)]
    assert not any(track.is_lost for track in found)


def test_a_single_weak_sighting_is_no_track_and_a_single_sure_one_is():
    for score, count in ((0.15, 0), (0.9, 1)):
        looks = [Look(n, n == 0, (Sighting(box_at(300, 100), score),) if n == 10 else ()) for n in range(20)]
        assert len(tracking.tracks(looks, SIZE, 20)) == count


def test_a_face_that_was_measured_too_small_for_a_moment_is_covered_as_large_as_around_it():
    boxes = [box_at(200, 200, 20 if n == 10 else 40) for n in range(20)]
    looks = [Look(n, n == 0, (Sighting(box, 0.9, None, 0 if n else None),)) for n, box in enumerate(boxes)]
    (track,) = tracking.tracks(looks, SIZE, 20)
    assert {spot.box for spot in track.spots} == {box_at(200, 200)}
    # and one that comes nearer, as large as it is
    nearer = [box_at(200, 200, 40 + 4 * n) for n in range(20)]
    looks = [Look(n, n == 0, (Sighting(box, 0.9, None, 0 if n else None),)) for n, box in enumerate(nearer)]
    (track,) = tracking.tracks(looks, SIZE, 20)
    assert [spot.box for spot in track.spots] == nearer


def test_only_spots_that_a_detector_saw_have_landmarks():
    points = ((290.0, 90.0), (310.0, 90.0), (300.0, 100.0), (292.0, 110.0), (308.0, 110.0))
    moved = tuple((x + 20, y) for x, y in points)
    looks = [Look(0, True, (Sighting(box_at(300, 100), 0.9, points),)),
             Look(2, False, (Sighting(box_at(320, 100), 0.9, moved, 0, (Place(1, box_at(310, 100), 0.9),)),))]
    (track,) = tracking.tracks(looks, SIZE, 3)
    assert [spot.landmarks for spot in track.spots] == [points, None, moved]


def test_joining_takes_every_pair_nearest_first_as_comparing_all_with_all_would():
    """The same as the plain way, written again here, on crowds of short chains."""
    def plain(chains):
        while True:
            costs = sorted((cost, i, j) for i, a in enumerate(chains) for j, b in enumerate(chains)
                           if i != j and a.shot == b.shot and (cost := tracking._gap(a, b)) is not None)
            taken, grown = set(), []
            for _, i, j in costs:
                if not taken & {i, j}:
                    taken |= {i, j}
                    grown.append(tracking._bridged(chains[i], chains[j]))
            if not taken:
                return chains
            chains = [chain for i, chain in enumerate(chains) if i not in taken] + grown

    for seed in range(5):
        noise = np.random.default_rng(seed)
        looks, before = [], ()
        for number in range(160):
            begins = number in (0, 90)
            here = [] if begins else [Sighting((s.box[0] + 3, s.box[1], s.box[2] + 3, s.box[3]), 0.5, None, i)
                                      for i, s in enumerate(before) if noise.random() < 0.8]
            new = [Sighting(box_at(*noise.uniform((0, 0), (200, 60))), 0.5) for _ in range(noise.poisson(0.7))]
            kept = {s.before for s in here}
            ended = () if begins else tuple((i, ()) for i in range(len(before)) if i not in kept)
            before = (*here, *new)
            looks.append(Look(number, begins, before, ended))
        chains = tracking._linked(looks, 160)
        joined = tracking._merged(chains)
        assert len(joined) < 0.8 * len(chains)
        assert [c.spots for c in joined] == [c.spots for c in plain(list(chains))]


def test_a_clip_that_cuts_all_the_time_is_tracked_in_little_memory():
    """Each sighting is a chain of its own then, and all pairs within a second were collected: 2 GB for 5,400 frames."""
    looks = [Look(n, True, tuple(Sighting(box_at(40 * i, 100), 0.9) for i in range(12))) for n in range(100)]
    tracemalloc.start()
    try:
        made = tracking.tracks(looks, SIZE, 100)
        assert len(made) == 1200 and tracemalloc.get_traced_memory()[1] < 8e6  # 44 MB before
    finally:
        tracemalloc.stop()
