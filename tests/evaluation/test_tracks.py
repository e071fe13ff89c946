"""Boxes that move as they are told, and who is taken for whom."""

import numpy as np

from evaluation import tracks
from evaluation.faces import Faces


def faces(*boxes):
    n = len(boxes)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Faces(boxes, np.zeros((n, 5, 2), np.float32), np.ones(n, np.float32), False)


def frames(*people, cuts=(0,), rate=10):
    """Each of `people` gives the x of her box (40 x 50 px, y by her order) in every frame, or None."""
    for number, row in enumerate(zip(*people)):
        there = [(who, x) for who, x in enumerate(row) if x is not None]
        boxes = [(x, 200 * who, x + 40, 200 * who + 50) for who, x in there]
        templates = [{"matcher": np.array([[float(who)]], np.float32)} for who, _ in there]
        yield number, number / rate, number in cuts, faces(*boxes), templates


def people(track):
    return {float(one.templates["matcher"][0, 0]) for one in track.sightings}


def linked(*given, **options):
    return sorted((len(track.sightings), *people(track)) for track in tracks.link(frames(*given, **options)))


def test_two_people_who_walk_are_two_tracks_and_each_keeps_her_templates():
    assert linked(range(0, 200, 20), range(200, 0, -20)) == [(10, 0.0), (10, 1.0)]


def test_a_face_that_moves_by_more_than_its_width_in_each_frame_is_followed_by_its_speed():
    """The second sighting still overlaps; from then on only the speed tells where she is."""
    assert linked([0, 25, 90, 155, 220, 285]) != [(6, 0.0)]
    assert linked([0, 30, 75, 130, 195, 270]) == [(6, 0.0)]


def test_a_face_lost_for_a_moment_comes_back_and_one_lost_for_long_does_not():
    short, long = [0, 5, None, None, 20, 25], [0, 5, *[None] * 5, 10]
    assert linked(short) == [(6 - 2, 0.0)]
    assert linked(long) == [(1, 0.0), (2, 0.0)]


def test_nothing_is_followed_across_a_cut():
    assert linked([50] * 6, cuts=(0, 3)) == [(3, 0.0), (3, 0.0)]


def test_of_two_faces_near_one_track_the_nearer_one_takes_it():
    def crowd():
        yield 0, 0.0, True, faces((0, 0, 40, 50)), [{}]
        yield 1, 0.1, False, faces((15, 0, 55, 50), (3, 0, 43, 50)), [{}, {}]

    longest = max(tracks.link(crowd()), key=lambda track: len(track.sightings))
    assert [float(one.box[0]) for one in longest.sightings] == [0, 3]


def test_a_long_track_is_cut_and_nothing_of_it_is_lost():
    count = tracks.MAX_SIGHTINGS + 7
    stream = tracks.link(frames([10] * count, rate=25))
    assert [len(track.sightings) for track in stream] == [tracks.MAX_SIGHTINGS, 7]


def test_a_track_that_ended_is_given_before_the_clip_is_over():
    """Or an hour of video would have to fit the memory."""
    reached = []

    def watched():
        for frame in frames([0] * 3 + [None] * 30):
            reached.append(frame[0])
            yield frame

    next(tracks.link(watched()))
    assert reached[-1] < 10


def test_an_empty_street_has_no_tracks():
    assert list(tracks.link(frames([None] * 5))) == []
