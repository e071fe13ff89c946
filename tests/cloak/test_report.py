"""Report <-> JSON: nothing lost, nothing private, nothing half understood."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak.errors import OutputRefused, ReportUnreadable
from cloak.report import SCHEMA, from_json, load_report, report_path_for, to_json, write_report
from cloak.types import FaceReport, Report, Verdict

VERDICT = Verdict(recogniser="dlib_resnet29", is_surrogate=True, similarity_before=0.99, similarity_after=0.81,
                  fmr_before=1e-5, fmr_after=0.3, is_matched=False, threshold=0.93, threshold_fmr=1e-3)
FACE = FaceReport(number=1, box=(10.0, 20.0, 110.5, 160.0), detector_score=0.99, treatment="cloak balanced",
                  status="protected", verdicts=(VERDICT,), words="protected from dlib_resnet29")
REPORT = Report(input="march.jpg", output="march.cloaked.jpg", input_sha256="0" * 64, output_sha256="1" * 64,
                size=(1400, 900), faces=(FACE,), words="1 of 1 faces protected.",
                settings={"strength": "balanced", "seed": 0, "overwrite": False}, versions={"facecloak": "0.1.0"},
                weights={"dlib_resnet29": "2" * 64}, notes=("Publishing cannot be undone.",))

unit = st.floats(-1, 1)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
verdicts = st.builds(Verdict, recogniser=words, is_surrogate=st.booleans(), similarity_before=unit,
                     similarity_after=unit, fmr_before=unit, fmr_after=unit, is_matched=st.booleans(),
                     threshold=unit, threshold_fmr=unit)
faces = st.builds(FaceReport, number=st.integers(1, 99), box=st.tuples(unit, unit, unit, unit), detector_score=unit,
                  status=st.sampled_from(["protected", "matched", "lost", "too_small"]),
                  verdicts=st.lists(verdicts, max_size=3).map(tuple), words=words)
reports = st.builds(
    Report, input=st.just("a.jpg"), output=st.none() | st.just("ü.jpg"), input_sha256=st.none() | words,
    output_sha256=st.none() | words, size=st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
    faces=st.lists(faces, max_size=3).map(tuple), words=words,
    settings=st.dictionaries(words, st.integers() | words | st.none()), versions=st.dictionaries(words, words),
    weights=st.dictionaries(words, words), notes=st.lists(words, max_size=3).map(tuple))


@given(reports)
def test_every_report_comes_back_as_it_was(report):
    assert from_json(to_json(report)) == report


def test_the_document_is_ascii_json_with_its_schema_first():
    text = to_json(dataclasses.replace(REPORT, input="Ünï.jpg"))
    assert text.isascii() and text.endswith("}\n")
    fields = json.loads(text)
    assert next(iter(fields.items())) == ("schema", "facecloak-report/2")
    assert fields["faces"][0]["verdicts"][0]["fmr_after"] == 0.3


def test_schema_2_has_exactly_these_fields():
    # Anyone may read these files. A change here is a change of SCHEMA: raise its number.
    fields = json.loads(to_json(REPORT))
    assert SCHEMA == "facecloak-report/2"
    assert set(fields) == {"schema", "input", "output", "input_sha256", "output_sha256", "size", "faces", "words",
                           "settings", "versions", "weights", "notes"}
    assert set(fields["faces"][0]) == {"number", "box", "detector_score", "treatment", "status", "verdicts", "words"}
    assert set(fields["faces"][0]["verdicts"][0]) == {
        "recogniser", "is_surrogate", "similarity_before", "similarity_after", "fmr_before", "fmr_after",
        "is_matched", "threshold", "threshold_fmr"}


@pytest.mark.parametrize("name", ["/home/anna/march.jpg", "demo/march.jpg"])
def test_a_folder_name_never_reaches_a_report(name):
    for field in ("input", "output"):
        with pytest.raises(ValueError, match="file names only"):
            to_json(dataclasses.replace(REPORT, **{field: name}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_a_defect_and_not_a_report(value):
    with pytest.raises(ValueError):
        to_json(dataclasses.replace(REPORT, faces=(dataclasses.replace(FACE, detector_score=value),)))


def test_a_name_that_is_no_utf8_still_makes_json_for_everyone():
    text = to_json(dataclasses.replace(REPORT, input=os.fsdecode(b"latin-\xe9.jpg")))
    assert json.loads(text)["input"] == "latin-\\xe9.jpg"


def edited(change):
    fields = json.loads(to_json(REPORT))
    change(fields)
    return json.dumps(fields)


@pytest.mark.parametrize(("change", "words"), [
    (lambda f: f.update(schema="facecloak-report/1"), "schema is 'facecloak-report/1'"),
    (lambda f: f.pop("schema"), "schema is None"),
    (lambda f: f.update(pixels="AAAA"), "unknown fields: pixels"),
    (lambda f: f.pop("faces"), "unknown fields: faces"),
    (lambda f: f.update(size=[1400]), "report.size has 1 values, expected 2"),
    (lambda f: f.update(size=[1400, 900.5]), r"report.size\[1\] is 900.5, expected int"),
    (lambda f: f["faces"][0].update(status="safe"), r"report.faces\[0\].status is 'safe'"),
    (lambda f: f["faces"][0].update(verdicts={}), "verdicts is dict, expected a list"),
    (lambda f: f["faces"][0]["verdicts"][0].update(is_matched=0), "is_matched is 0, expected bool"),
    (lambda f: f["faces"][0]["verdicts"][0].update(fmr_after=None), "fmr_after is None, expected float"),
    (lambda f: f["faces"][0]["verdicts"][0].update(fmr_after=float("nan")), "fmr_after is nan, expected float"),
    (lambda f: f.update(versions=[]), "versions is list, expected an object"),
])
def test_a_report_that_does_not_follow_its_schema_is_refused_by_field(change, words):
    with pytest.raises(ReportUnreadable, match=words):
        from_json(edited(change))


@pytest.mark.parametrize("text", ["", "not json", "[]", "null"])
def test_other_text_is_refused(text):
    with pytest.raises(ReportUnreadable):
        from_json(text)


def test_it_is_written_beside_the_output_and_read_back(tmp_path):
    output = tmp_path / "march.cloaked.jpg"
    path = write_report(REPORT, output, overwrite=False)
    assert path == tmp_path / "march.cloaked.jpg.json" and load_report(path) == REPORT
    assert str(tmp_path) not in path.read_text()
    with pytest.raises(OutputRefused, match="exists already"):
        write_report(REPORT, output, overwrite=False)


def test_a_missing_report_is_named(tmp_path):
    with pytest.raises(ReportUnreadable, match="none.json"):
        load_report(tmp_path / "none.json")


def test_an_output_name_of_255_bytes_still_gets_a_report(tmp_path):
    output = tmp_path / ("é" * 125 + "a.jpg")
    path = report_path_for(output)
    assert len(os.fsencode(path.name)) <= 255 and path.name.endswith(".json")
    assert path != report_path_for(Path(str(output).replace("a.jpg", "b.jpg")))
    write_report(REPORT, output, overwrite=False)
    assert os.listdir(tmp_path) == [path.name]
