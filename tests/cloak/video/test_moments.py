"""What a person looks at before a plan is rendered."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cloak.errors import ClipTooLarge, ClipUnreadable, PlanInvalid
from cloak.video import clips
from cloak.video.moments import review_clip, risky_frames
from cloak.video.plan import from_json, to_json
from cloak.video.types import Plan, Spot, Track

from .conftest import LOSSLESS


def track(number, first, last, *, score=0.9, is_lost=False):
    return Track(number, tuple(Spot(i, (10.0, 8.0, 42.0, 40.0), score, "seen") for i in range(first, last + 1)),
                 is_lost)


def plan_of(*tracks, frames=60, cuts=(), size=(64, 48), sha256="0" * 64):
    return Plan("march.mp4", sha256, size, frames, cuts, tracks)


def test_where_a_face_got_lost_just_beyond_its_last_cover_is_a_moment_to_look_at():
    found = risky_frames(plan_of(track(1, 10, 20, is_lost=True), track(2, 0, 59), cuts=(40,)))
    assert set(found) == {8, 22} and "track 1 is not covered here" in found[22]


def test_no_moment_lies_beyond_the_shot_or_where_the_track_still_is():
    assert set(risky_frames(plan_of(track(1, 10, 38, is_lost=True), cuts=(10, 40)))) == {39}
    assert risky_frames(plan_of(track(1, 0, 59, is_lost=True))) == {}


def test_doubtful_tracks_come_after_lost_ones_and_never_too_many():
    doubtful = [track(n, 2 * n, 2 * n + 7, score=0.2) for n in range(2, 20)]
    found = risky_frames(plan_of(*doubtful, track(1, 20, 30, is_lost=True)), most=5)
    assert len(found) == 5 and {18, 32} <= set(found) and "never surely a face" in found[7]


def test_one_pass_gives_pictures_of_tracks_and_of_frames_to_scrub_through(make_clip):
    path, pictures = make_clip("march.mkv", "yuv420p", (64, 48), 60)
    told = []
    review = review_clip(path, plan_of(track(1, 10, 20, is_lost=True)), on_frame=told.append)
    (row,) = review.rows
    assert row.track.number == 1 and len(row.pictures) == 5 and row.start_s == pytest.approx(0.4)
    numbers = [moment.frame for moment in review.moments]
    assert numbers == list(range(60))
    assert told[-1] == 60
    moment = next(moment for moment in review.moments if moment.frame == 22)
    assert moment.seconds == pytest.approx(0.88) and moment.why and moment.boxes == () and moment.size == (64, 48)
    assert [box for m in review.moments if m.frame == 15 for box in m.boxes] == [(1, (10.0, 8.0, 42.0, 40.0))]
    with Image.open(io.BytesIO(moment.picture)) as picture:  # that frame and no other, nothing drawn on it
        grey = np.asarray(picture.convert("L")).astype(float)
    alike = [np.corrcoef(grey.ravel(), planes[0].ravel())[0, 1] for planes in pictures]
    assert int(np.argmax(alike)) == 22


def test_large_frames_are_made_smaller_and_their_boxes_stay_those_of_the_clip(make_clip):
    path, _ = make_clip("large.mkv", "yuv420p", (1280, 720), 2)
    review = review_clip(path, plan_of(track(1, 0, 1), frames=2, size=(1280, 720)))
    assert review.moments[0].size == (960, 540) and review.moments[0].boxes[0][1] == (10.0, 8.0, 42.0, 40.0)


@pytest.mark.parametrize("name, words, suffix", [
    ("a.mp4", (), ".mp4"), ("a.mov", (), ".mov"), ("a.mkv", (), ".mkv"), ("a.avi", (), ".mp4")])
def test_an_output_is_called_as_its_container_is_whatever_the_name_says(make_clip, tmp_path, name, words, suffix):
    path, _ = make_clip(name, "yuv420p", (64, 48), 2, *words, codec=LOSSLESS)
    nameless = path.rename(tmp_path / "clip")
    assert clips.suffix_of(nameless) == suffix


def test_webm_is_told_from_matroska(make_clip):
    path, _ = make_clip("a.webm", "yuv420p", (64, 48), 2, codec=("libvpx-vp9", "-deadline", "realtime"))
    assert clips.suffix_of(path) == ".webm"
    with pytest.raises(ClipUnreadable, match="Nothing was read"):
        clips.suffix_of(path.with_name("none"))


def test_pictures_that_are_too_large_are_refused_as_such(make_clip):
    path, _ = make_clip("a.mkv", "yuv420p", (64, 48), 2)
    with pytest.raises(ClipTooLarge, match="Nothing was decoded"):
        clips.probe(path, max_pixels=64 * 48 - 1)


def test_a_plan_with_a_number_that_cannot_be_written_again_is_refused():
    plan = replace(plan_of(track(1, 0, 3)), settings={"x": 1.5})
    assert from_json(to_json(plan)).settings == {"x": 1.5}
    with pytest.raises(PlanInvalid, match="1e999"):
        from_json(json.dumps(json.loads(to_json(plan))).replace("1.5", "1e999"))
