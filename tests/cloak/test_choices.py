"""What a person chose, as options and as a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak.choices import (
    SCHEMA,
    Choices,
    Region,
    parse_numbers,
    parse_region,
    parse_treatment,
    read_choices,
    to_json,
)
from cloak.errors import ChoicesInvalid
from cloak.types import KEEP, STRENGTHS, STYLES, Photo, Treatment

CLOAK = Treatment("cloak", "balanced")
SOLID = Treatment("redact", "solid")


def photo(width=40, height=30, sha256="a" * 64):
    return Photo(Path("march.jpg"), np.zeros((height, width, 3), np.uint8), "JPEG", sha256)


def write(tmp_path, photos, **more):
    path = tmp_path / "choices.json"
    path.write_text(json.dumps({"schema": SCHEMA, "photos": photos, **more}), "utf-8")
    return path


@pytest.mark.parametrize("text, treatment", [
    ("keep", KEEP), ("cloak", Treatment("cloak", "light")), ("cloak strong", Treatment("cloak", "strong")),
    ("redact", Treatment("redact", "ring")), ("redact solid", SOLID), ("mosaic", Treatment("redact", "mosaic")),
])
def test_a_treatment_is_said_in_words(text, treatment):
    assert parse_treatment(text, strength="light", style="ring") == treatment


@pytest.mark.parametrize("treatment", [KEEP, *(Treatment("cloak", s) for s in STRENGTHS),
                                       *(Treatment("redact", s) for s in STYLES)])
def test_a_treatment_is_read_as_it_prints(treatment):
    assert parse_treatment(str(treatment)) == treatment


@pytest.mark.parametrize("text", ["", "hide", "cloak solid", "redact strong", "keep all", "strong", 3, None])
def test_another_treatment_is_refused_with_the_words_there_are(text):
    with pytest.raises(ChoicesInvalid, match="redact solid"):
        parse_treatment(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "2,,3", "one", "1.5", "2;3", "nan"])
def test_numbers_that_are_none_are_refused_by_the_options_name(text):
    with pytest.raises(ChoicesInvalid, match="--keep"):
        parse_numbers(text, "--keep")


def test_faces_without_a_word_of_their_own_get_the_default():
    chosen = Choices(SOLID, {2: KEEP, 3: CLOAK})
    assert chosen.of(photo(), 4) == [SOLID, KEEP, CLOAK, SOLID]
    assert chosen.is_by_person and not Choices(SOLID).is_by_person


@pytest.mark.parametrize("numbers, count, words", [
    ({3: KEEP}, 2, "face 3 was named, but 2 faces were found"), ({1: KEEP}, 0, "no face was found"),
    ({2: KEEP, 7: KEEP}, 1, "face 2, 7 was named, but 1 face was found"),
])
def test_a_face_that_is_not_there_is_refused(numbers, count, words):
    with pytest.raises(ChoicesInvalid, match=words) as caught:
        Choices(CLOAK, numbers).of(photo(), count)
    assert "march.jpg" in str(caught.value) and "Nothing was written" in str(caught.value)


def test_numbers_read_from_another_file_are_refused():
    with pytest.raises(ChoicesInvalid, match="another file"):
        Choices(CLOAK, {1: KEEP}, sha256="b" * 64).of(photo(), 1)
    assert Choices(CLOAK, {1: KEEP}, sha256="a" * 64).of(photo(), 1) == [KEEP]


@pytest.mark.parametrize("text, outside", [
    ("39,29,5,5", False), ("-4,-4,5,5", False), ("0,0,999,999", False),
    ("40,0,5,5", True), ("0,30,5,5", True), ("-5,0,5,5", True),
])
def test_a_region_touches_the_photo(text, outside):
    chosen = Choices(CLOAK, {}, (parse_region(text, SOLID),))
    if outside:
        with pytest.raises(ChoicesInvalid, match="outside the photo of 40 x 30"):
            chosen.of(photo(), 0)
    else:
        assert chosen.of(photo(), 0) == []


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,-4", "a,b,c,d", "1.5,2,3,4", "nan,1,1,1"])
def test_a_region_that_is_none_is_refused(text):
    with pytest.raises(ChoicesInvalid, match="region"):
        parse_region(text, SOLID)


def test_a_region_cannot_be_cloaked_or_kept():
    for treatment in (CLOAK, KEEP):
        with pytest.raises(ChoicesInvalid, match="can only be redacted"):
            Region(0, 0, 5, 5, treatment)


def test_a_file_says_it_photo_by_photo(tmp_path):
    path = write(tmp_path, {
        "a.jpg": {"default": "redact ring", "faces": {"2": "keep", "1": "cloak strong"},
                  "regions": [{"x": 1, "y": 2, "width": 3, "height": 4},
                              {"x": 1, "y": 2, "width": 3, "height": 4, "treatment": "solid"}]},
        "card 2/b.jpg": {"faces": {"1": "redact"}, "sha256": "c" * 64},
    })
    ring = Treatment("redact", "ring")
    assert read_choices(path, default=CLOAK) == {
        "a.jpg": Choices(ring, {1: Treatment("cloak", "strong"), 2: KEEP},
                         (Region(1, 2, 3, 4, ring), Region(1, 2, 3, 4, SOLID))),
        "card 2/b.jpg": Choices(CLOAK, {1: SOLID}, (), "c" * 64),
    }


@given(st.dictionaries(st.text(min_size=1), st.builds(
    Choices,
    st.sampled_from([KEEP, CLOAK, SOLID]),
    st.dictionaries(st.integers(1, 99), st.sampled_from([KEEP, CLOAK, SOLID])),
    st.lists(st.builds(Region, *[st.integers(-9, 99)] * 2, *[st.integers(1, 99)] * 2)).map(tuple),
    st.none() | st.just("d" * 64),
), max_size=3))
def test_what_is_written_as_a_form_is_read_again(tmp_path_factory, photos):
    path = tmp_path_factory.mktemp("form") / "form.json"
    path.write_text(to_json(photos), "utf-8")
    assert read_choices(path, default=KEEP) == photos


@pytest.mark.parametrize("photos, words", [
    ({"a.jpg": []}, "a.jpg is list"), ({"a.jpg": {"faces": {"0": "keep"}}}, "'0' is no face number"),
    ({"a.jpg": {"faces": {"1": "keep", "01": "cloak"}}}, "twice"), ({"a.jpg": {"face": {}}}, "unknown fields: face"),
    ({"a.jpg": {"regions": {}}}, "regions is no list"), ({"a.jpg": {"regions": [{"x": 1}]}}, "region's y is None"),
    ({"a.jpg": {"regions": [{"x": 1, "y": 1, "width": True, "height": 1}]}}, "width is True"),
    ({"a.jpg": {"regions": [{"x": 1, "y": 1, "width": 1, "height": 1, "z": 1}]}}, "unknown fields: z"),
    ({"a.jpg": {"sha256": 5}}, "sha256 is 5"), ([], "photos is list"),
])
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path, photos, words):
    path = write(tmp_path, photos)
    with pytest.raises(ChoicesInvalid, match=words) as caught:
        read_choices(path, default=CLOAK)
    assert str(caught.value).startswith(str(path)) and str(caught.value).endswith(". Nothing was written.")


@pytest.mark.parametrize("text", [
    "", "[]", "{", "{}", '{"schema": "facecloak-choices/2", "photos": {}}', "[" * 100_000,
    '{"schema": "facecloak-choices/1", "photos": {"a": {"faces": {"1": "redact", "1": "keep"}}}}',
])
def test_what_is_no_list_of_choices_is_refused(tmp_path, text):
    path = tmp_path / "choices.json"
    path.write_text(text)
    with pytest.raises(ChoicesInvalid, match="choices.json"):
        read_choices(path, default=CLOAK)
