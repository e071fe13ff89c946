"""Plans as files: nothing is lost on the way, and nothing strange comes in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak.errors import PlanInvalid
from cloak.video.plan import check_clip, from_json, read_plan, rounded, to_json, write_plan
from cloak.video.types import Area, Plan, Spot, Track

MARKS = ((12.0, 12.5), (16.0, 12.5), (14.0, 15.0), (12.5, 17.0), (15.5, 17.0))


def spots(first, count, at=(10.0, 10.0, 18.25, 20.1)):
    return tuple(Spot(first + i, (at[0] + i, at[1], at[2] + i, at[3]), 0.9 if i % 2 == 0 else 0.0,
                      "seen" if i % 2 == 0 else "filled", MARKS if i % 2 == 0 else None) for i in range(count))


PLAN = Plan("märz 1.mp4", "ab" * 32, (640, 360), 40, (20,),
            (Track(1, spots(3, 5)), Track(2, spots(20, 6), is_lost=True, decision="keep", style="ring")),
            (Area((-5.0, 0.0, 30.5, 12.0), 0, 39),), {"look": {"style": "solid"}, "stride": 2}, {"facecloak": "0.1.0"},
            {"centerface": "00" * 32})


def test_a_plan_comes_back_digit_by_digit(tmp_path):
    assert from_json(to_json(PLAN)) == PLAN
    write_plan(PLAN, tmp_path / "plan.json", overwrite=False)
    assert read_plan(tmp_path / "plan.json") == PLAN


number = st.floats(-1e4, 1e4, allow_nan=False)


@given(st.lists(st.tuples(number, number, st.floats(1e-6, 5e3), st.floats(1e-6, 5e3), st.floats(0, 1)), min_size=1,
                max_size=5))
def test_any_boxes_come_back_digit_by_digit(boxes):
    track = Track(7, tuple(Spot(i, (x, y, x + w + 0.01, y + h + 0.01), score, "followed")
                           for i, (x, y, w, h, score) in enumerate(boxes)))
    plan = replace(PLAN, tracks=(track,))
    assert from_json(to_json(plan)) == plan


def test_rounding_moves_nothing_that_matters_and_only_once():
    odd = replace(PLAN, tracks=(Track(1, (Spot(0, (1 / 3, 2 / 3, 10 / 3, 20 / 3), 1 / 3, "seen"),)),))
    once = rounded(odd)
    assert once.tracks[0].spots[0] == Spot(0, (0.33, 0.67, 3.33, 6.67), 0.333, "seen")
    assert rounded(once) == once == from_json(to_json(once))


def test_the_decision_stands_at_the_top_of_its_track_and_the_spots_on_one_line():
    lines = to_json(PLAN).splitlines()
    heads = [line for line in lines if '"number"' in line]
    assert [line.split('"decision": ')[1][:6] for line in heads] == ['"hide"', '"keep"']
    assert len(lines) < 25 and not any("spots" in line for line in heads)


def test_a_plan_changed_by_hand_is_read_as_changed():
    text = to_json(PLAN).replace('"number": 1, "decision": "hide", "style": null',
                                 '"number": 1, "decision": "keep", "style": "mosaic"')
    assert from_json(text).tracks[0] == replace(PLAN.tracks[0], decision="keep", style="mosaic")


def changed(path, value):
    document = json.loads(to_json(PLAN))
    at = document
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize("path, value, words", [
    (["schema"], "facecloak-plan/2", "schema is 'facecloak-plan/2'"),
    (["sha256"], None, "missing or unknown fields: sha256"),
    (["sha256"], "ff", "64 hexadecimal"),
    (["faces"], [], "missing or unknown fields: faces"),
    (["frames"], 0, "frames is 0"),
    (["frames"], True, "frames is True"),
    (["cuts"], [20, 20], "not in rising order"),
    (["cuts"], [5], "track 1 goes from frame 3 to 7 over the cut at 5"),
    (["tracks", 1, "number"], 1, "track 1 stands there twice"),
    (["tracks", 0, "decision"], "Keep", "track 1: decision is 'Keep'"),
    (["tracks", 0, "style"], "pixelate", "track 1: style is 'pixelate'"),
    (["tracks", 0, "style"], ["ring"], r"track 1: style is \['ring'\]"),
    (["tracks", 0, "decision"], ["keep"], r"track 1: decision is \['keep'\]"),
    (["tracks", 0, "is_lost"], 0, "is_lost is 0"),
    (["tracks", 0, "spots"], [], "track 1 has no spots"),
    (["tracks", 0, "spots", 2], None, "track 1: frame 6 follows 4"),
    (["tracks", 0, "spots", 0, 3], 1.0, "track 1, spots\\[0\\]: the box"),
    (["tracks", 0, "spots", 0, 5], 1.5, "score is 1.5"),
    (["tracks", 0, "spots", 0, 6], "guessed", "source is 'guessed'"),
    (["tracks", 0, "spots", 0, 7], [1, 2], "landmarks has 2 values, expected 10"),
    (["tracks", 1, "spots", 0, 0], 40, "frame is 40, expected a whole number from 0 to 39"),
    (["areas", 0, "last"], 40, "last is 40"),
    (["areas", 0, "box"], [0, 0, 5], "has 3 values"),
    (["versions"], {"facecloak": 1}, "versions.facecloak is 1"),
])
def test_what_is_wrong_is_named_with_its_place(path, value, words):
    with pytest.raises(PlanInvalid, match=f"plan: .*{words}.*Nothing was written"):
        from_json(changed(path, value))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": NaN}', "[" * 100_000, "null"])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(PlanInvalid, match="Nothing was written"):
        from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1e300"])
def test_numbers_that_are_none_are_refused(number):
    with pytest.raises(PlanInvalid):
        from_json(to_json(PLAN).replace("18.25", number))


def test_a_decision_that_stands_twice_is_refused():
    with pytest.raises(PlanInvalid, match="stands there twice"):
        from_json(to_json(PLAN).replace('"decision": "hide"', '"decision": "hide", "decision": "keep"', 1))


def test_a_plan_of_another_clip_is_refused(tmp_path):
    clip = tmp_path / "other.mp4"
    check_clip(PLAN, sha256=PLAN.sha256, size=PLAN.size, clip=clip)
    with pytest.raises(PlanInvalid, match="other.mp4: the plan was made for another file, märz 1.mp4"):
        check_clip(PLAN, sha256="cd" * 32, size=PLAN.size, clip=clip)
    with pytest.raises(PlanInvalid, match="640 x 360 pixels, the clip has 360 x 640"):
        check_clip(PLAN, sha256=PLAN.sha256, size=(360, 640), clip=clip)


def test_a_plan_that_is_not_there_says_so(tmp_path):
    with pytest.raises(PlanInvalid, match=r"plan\.json: cannot be read"):
        read_plan(tmp_path / "plan.json")
