"""What the verbs say of things that are not there: one line, exit code 2, and no result file."""

import pytest

from evaluation.__main__ import main
from evaluation.samples import SamplesUnusable, photos_by_subject


@pytest.mark.parametrize(("arguments", "said"), [
    (["gallery"], "no matcher is called 'nobody'; there are dlib_cpp"),
    (["adaptive"], "no matcher is called 'nobody'; there are dlib_cpp"),
])
def test_a_matcher_that_nobody_knows_is_named(shared_data, tmp_path, capsys, arguments, said):
    out = tmp_path / "out.json"
    arguments = [*arguments, "--matchers", "nobody", "--data", str(shared_data), "--out", str(out)]
    assert main([*arguments, "--cache", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(("options", "said"), [
    (["--arms", "clean,lihgt"], "no arm is called 'lihgt'; there are clean, light"),
    (["--arms", "clean", "--publish", "jpg90"], "no publishing step is called 'jpg90'"),
    (["--arms", "clean", "--photos", "nowhere"], "nowhere: no such folder"),
])
def test_a_misspelt_attack_ends_before_anything_is_made(shared_data, tmp_path, capsys, options, said):
    out, work = tmp_path / "out.json", tmp_path / "work"
    arguments = ["adaptive", "--matchers", "mobilefacenet", "--data", str(shared_data), "--cache", str(tmp_path / "c")]
    assert main([*arguments, "--out", str(out), "--work", str(work), *options]) == 2
    assert said in capsys.readouterr().err and not out.exists()
    assert not (work / "arms").exists() and not (work / "cells").exists()


def test_a_folder_that_is_not_there_holds_no_people(tmp_path):
    with pytest.raises(SamplesUnusable, match="no such folder. Nothing was judged"):
        photos_by_subject(tmp_path / "absent")


def test_detectors_are_not_measured_without_labels(shared_data, tmp_path, capsys):
    (tmp_path / "weights").symlink_to(shared_data / "weights")
    out = tmp_path / "out.json"
    assert main(["detectors", "--data", str(tmp_path), "--out", str(out)]) == 2
    assert "boxes.json: no labels" in capsys.readouterr().err and not out.exists()
