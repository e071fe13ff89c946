"""`cloak models`: arguments, exit codes, tables, JSON. What tries a recogniser on faces is a stand-in here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cloak import adding, cli, cli_models, fetching, store, weights
from cloak.errors import FetchFailed, SettingsInvalid
from cloak.store import Model, Recipe

VERBS = ["list", "fetch", "add", "verify", "remove"]
FED = ["--crop", "arcface112", "--mean", "127.5", "--scale", "128", "--channels", "bgr"]


def run(*words: object):
    return CliRunner().invoke(cli.app, ["models", *map(str, words)], env={"COLUMNS": "200"})


def json_of(*words: object) -> dict:
    result = run(*words, "--json")
    document = json.loads(result.stdout)
    assert document["exit_code"] == result.exit_code
    return document


@pytest.fixture
def net(models, tmp_path) -> Path:
    """A file that the stand-in takes for a recogniser."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"a network")
    return path


@pytest.fixture
def tried(monkeypatch):
    """The stand-in, and what it was asked."""
    asked = SimpleNamespace(calls=[], calibration=None, error=None)

    def check(file: Path, recipe: Recipe, *, strangers: Path | None):
        asked.calls.append((file.read_bytes(), recipe, strangers))
        if asked.error:
            raise SettingsInvalid(f"{file}: {asked.error}")
        return SimpleNamespace(words=("It tells two people apart.",), calibration=asked.calibration)

    monkeypatch.setattr(adding, "check", check)
    return asked


def row(document: dict, name: str) -> dict:
    (found,) = [one for one in document["models"] if one["name"] == name]
    return found


# --- list --------------------------------------------------------------------------------------------------------


def test_list_shows_what_is_there_and_what_could_be(models):
    document = json_of("list")
    assert document["schema"] == "facecloak-models/1" and document["store"] == str(models)
    states = {one["name"]: one["state"] for one in document["models"]}
    assert states["dlib_resnet29"] == states["centerface"] == "bundled"
    assert states["mobilefacenet"] == "available"
    assert states["edgeface_xxs"] == "available with --accept-licence"
    assert states["inception_resnet_v1"] == "available with --accept-hash"
    assert "mobilefacenet_onnx" not in states  # known when it is added, nowhere to be fetched
    assert all(one["licence"] and one["where"] and one["role"] for one in document["models"])
    assert not models.exists()


def test_the_table_says_licence_state_and_place(models):
    result = run("list")
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert result.exit_code == 0 and "\x1b" not in result.stdout
    assert all(word in lines["mobilefacenet"] for word in ("surrogate", "90a00ba1d8b0", "available", "Apache-2.0",
                                                           "github.com"))
    assert "cloak cannot load it yet" in re.sub(r"\s+", " ", result.stdout)
    assert str(models) in result.stdout


def test_a_damaged_model_is_listed_and_is_code_2(net, tried, models):
    assert run("add", "mine", net, *FED).exit_code == 0
    assert run("add", "other", net, *FED).exit_code == 0
    (models / "mine" / "model.toml").write_text("?")
    document = json_of("list")
    assert document["exit_code"] == 2 and row(document, "other")["state"] == "installed"
    assert row(document, "mine")["state"] == "damaged" and "model.toml" in row(document, "mine")["error"]


# --- add ---------------------------------------------------------------------------------------------------------


def test_what_is_added_is_tried_first_and_then_listed(net, tried, models, tmp_path):
    tried.calibration = {"fmr": [0.1]}
    result = run("add", "mine", net, *FED, "--licence", "MIT", "--strangers", tmp_path, "--size", "128",
                 "--layout", "nhwc")
    assert result.exit_code == 0 and "It tells two people apart." in result.stderr
    recipe = Recipe("arcface112", (127.5,) * 3, (128.0,) * 3, "bgr", "nhwc", 128)
    assert tried.calls == [(b"a network", recipe, tmp_path)]
    (model,) = store.installed()
    assert (model.name, model.loads_as, model.licence, model.recipe, model.origin) == ("mine", "onnx", "MIT", recipe,
                                                                                      "added")
    assert json.loads(model.calibration.read_text()) == {"fmr": [0.1]}
    assert weights.locate("mine").read_bytes() == b"a network"
    shown = row(json_of("list"), "mine")
    assert (shown["state"], shown["licence"], shown["where"]) == ("installed", "MIT", str(model.path))


def test_three_means_are_one_for_each_channel(net, tried):
    fed = ["--crop", "dlib150", "--mean", "103.5,116.3,123.7", "--scale", "57,57.5,58", "--channels", "bgr"]
    assert json_of("add", "mine", net, *fed)["models"][0]["words"] == ["It tells two people apart."]
    (model,) = store.installed()
    assert model.recipe.mean == (103.5, 116.3, 123.7) and model.recipe.scale == (57, 57.5, 58)
    assert model.licence == "not stated"


def test_what_is_no_recogniser_is_not_kept_and_named_as_the_user_knows_it(net, tried, models):
    tried.error = "tells nobody apart. It was not added."
    result = run("add", "mine", net, *FED)
    assert result.exit_code == 2 and result.stderr == f"cloak: {net}: tells nobody apart. It was not added.\n"
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("words, complaint", [
    ([], "Give --crop, --mean, --scale, --channels"),
    (FED[:4], "Give --scale, --channels"),
    ([*FED[:2], "--mean", "1,2", *FED[4:]], "--mean is '1,2'"),
    ([*FED[:2], "--mean", "x", *FED[4:]], "--mean is 'x'"),
    ([*FED[:2], "--mean", "nan", *FED[4:]], "finite"),
    ([*FED[:4], "--scale", "0", *FED[6:]], "above 0"),
    (["--crop", "arcface", *FED[2:]], "choose one of arcface112"),
    ([*FED[:6], "--channels", "gbr"], "choose rgb or bgr"),
    ([*FED, "--size", "5"], "32 to 1024"),
])
def test_what_is_missing_or_cannot_be_meant_is_code_2_and_keeps_nothing(net, tried, models, words, complaint):
    result = run("add", "mine", net, *words)
    assert result.exit_code == 2 and complaint in result.stderr and result.stderr.count("\n") == 1
    assert tried.calls == [] and not models.exists()


@pytest.mark.parametrize("name", ["../x", "", "X" * 300, "Mine", "dlib_resnet29", "recommended"])
def test_a_name_that_is_hostile_or_ours_is_refused(net, tried, models, name):
    result = run("add", *FED, "--", name, net)
    assert result.exit_code == 2 and "Nothing was" in result.stderr and not models.exists()
    assert run("remove", "--", name).exit_code == 2
    if name != "recommended":
        assert run("fetch", "--", name).exit_code == 2


def test_a_known_file_brings_its_own_recipe_licence_and_cautions(shared_data, models, tried):
    file = shared_data / "weights" / "edgeface_xxs.onnx"
    result = run("add", "edge", file, "--licence", "free for all")
    assert result.exit_code == 0 and "Caution: Treat as non-commercial" in result.stderr
    (model,) = store.installed()
    assert model.recipe == weights.registry()["edgeface_xxs_onnx"].recipe == tried.calls[0][1]
    assert model.non_commercial and "CC-BY-NC-SA-4.0" in model.licence and "dequantised" in model.source


def test_a_known_file_cannot_be_fed_otherwise(net, models, tried, monkeypatch):
    """It would see strangers everywhere, and call every cloak good."""
    known = dataclasses.replace(weights.registry()["mobilefacenet_onnx"], sha256=store.measure(net)[1])
    monkeypatch.setattr(weights, "registry", lambda: {known.name: known})
    right = ["--crop", "arcface112", "--mean", "123.675,116.28,103.53", "--scale", "58.395,57.12,57.375",
             "--channels", "rgb"]
    for wrong in (FED, [*right[:-1], "bgr"], [*right, "--size", "128"]):
        result = run("add", "mobile", net, *wrong)
        assert result.exit_code == 2 and "is known as mobilefacenet_onnx" in result.stderr and not models.exists()
    assert run("add", "mobile", net, *right).exit_code == 0


def test_a_known_detector_is_no_recogniser(shared_data, models, tried):
    result = run("add", "mine", shared_data / "weights" / "yunet_n.onnx", *FED)
    assert result.exit_code == 2 and "is yunet_n" in result.stderr and tried.calls == []


# --- fetch -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fetched(monkeypatch, models):
    """A stand-in that installs what it is asked for, and what it was asked."""
    asked = []

    def fetch(name, *, say, progress, accept_licence, accept_hash, source):
        asked.append((name, accept_licence, accept_hash, source))
        if name == "yunet_n":
            raise FetchFailed("cut. Nothing was installed.")
        say("connecting to example.org")
        return Model(name, "surrogate", "onnx", models / name / "x.pt", 3, "0" * 64, "MIT", "a test", "fetched")

    monkeypatch.setattr(fetching, "fetch", fetch)
    return asked


def test_recommended_stands_for_the_recommended_ones_and_nothing_is_fetched_twice(fetched):
    result = run("fetch", "recommended", "mobilefacenet")
    assert result.exit_code == 0 and fetched == [("mobilefacenet", False, False, None)]
    assert result.stderr == "cloak: connecting to example.org\n" and "installed" in result.stdout


def test_one_failed_fetch_stops_no_other_and_is_code_2(fetched):
    document = json_of("fetch", "yunet_n", "mobilefacenet", "--accept-licence", "--accept-hash", "--from", "stick")
    assert [one[0] for one in fetched] == ["yunet_n", "mobilefacenet"] and fetched[0][1:] == (True, True, Path("stick"))
    assert document["exit_code"] == 2
    assert row(document, "yunet_n")["error"].startswith("cut.")
    assert row(document, "mobilefacenet")["state"] == "installed"


def test_fetching_from_a_stick_works_through_the_command(shared_data, models):
    stick = shared_data / "weights" / "yunet_n.onnx"
    result = run("fetch", "yunet_n", "--from", stick)
    assert result.exit_code == 0, result.stderr
    assert "Apache-2.0" in result.stderr and "cannot load this file yet" in result.stderr
    assert weights.locate("yunet_n").read_bytes() == stick.read_bytes()
    assert row(json_of("verify", "yunet_n"), "yunet_n")["state"] == "verified"


# --- verify and remove -------------------------------------------------------------------------------------------


def test_verify_reads_every_file_again(net, tried, models):
    run("add", "mine", net, *FED)
    document = json_of("verify")
    names = [one["name"] for one in document["models"]]
    assert names == ["dlib_resnet29", "mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet", "centerface", "centerface_motion",
                     "mine"]
    assert {one["state"] for one in document["models"]} == {"verified"} and document["exit_code"] == 0
    file = models / "mine" / "mine.onnx"
    file.write_bytes(b"A network")
    document = json_of("verify")  # in the same process, which has verified it before
    assert document["exit_code"] == 2 and row(document, "mine")["state"] == "damaged"
    assert hashlib.sha256(b"A network").hexdigest() in row(document, "mine")["error"]
    file.unlink()
    assert row(json_of("verify", "mine"), "mine")["state"] == "missing"
    assert run("verify", "dlib_resnet29").exit_code == 0
    for name in ("mobilefacenet", "nobody"):
        assert run("verify", name).exit_code == 2


def test_verify_looks_into_the_packages_too(models, tmp_path, monkeypatch):
    damaged = tmp_path / "centerface.onnx"
    damaged.write_bytes(b"damaged")
    table = {**weights.registry()}
    table["centerface"] = dataclasses.replace(table["centerface"], path=str(damaged))
    monkeypatch.setattr(weights, "registry", lambda: table)
    document = json_of("verify")
    assert document["exit_code"] == 2
    assert [one["name"] for one in document["models"] if one["state"] != "verified"] == ["centerface"]


def test_what_is_removed_is_gone_and_what_is_bundled_stays(net, tried, models):
    run("add", "mine", net, *FED)
    assert json_of("remove", "mine")["models"][0]["state"] == "removed"
    assert store.installed() == () and run("remove", "mine").exit_code == 2
    with pytest.raises(SettingsInvalid):
        weights.locate("mine")
    result = run("remove", "dlib_resnet29")
    assert result.exit_code == 2 and "face_recognition_models" in result.stderr


# --- help and words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_its_codes_and_json(verb):
    text = run(verb, "--help").stdout
    assert f"    cloak models {verb}" in text and "Exit codes:" in text and "--json" in text
    assert re.search(r"^ +0  \w", text, re.MULTILINE) and re.search(r"^ +2  \w", text, re.MULTILINE)


def test_the_verbs_are_those_of_the_help():
    listed = re.findall(r"^  (\w+) {2,}\w", run("--help").stdout.partition("Commands:")[2], re.MULTILINE)
    assert sorted(listed) == sorted(VERBS)


@pytest.mark.parametrize("words", [["fetch"], ["add", "mine"], ["remove"], ["fetch", "x", "--accept"]])
def test_a_wrong_command_is_code_2(models, words):
    assert run(*words).exit_code == 2


def test_an_error_with_json_is_one_document_on_stdout_and_one_line_on_stderr(net, tried):
    result = run("add", "Mine", net, "--json")
    assert json.loads(result.stdout)["schema"] == "facecloak-error/1" and result.stderr.count("\n") == 1


def test_what_a_file_says_of_itself_reaches_no_terminal_unescaped(net, tried, models):
    run("add", "mine", net, *FED, "--licence", "M\x1b[31mIT\u202e")
    for words in (["list"], ["list", "--json"], ["verify"]):
        assert "\x1b" not in run(*words).stdout and "\u202e" not in run(*words).stdout


def test_a_terminal_is_shown_how_far_a_fetch_is(monkeypatch, capsys):
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with cli_models._progress_bar("plain") as nothing:
        assert nothing is None
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with cli_models._progress_bar("plain") as progress:
        assert progress is not None
        progress(500, 1000)
        progress(1000, 1000)
    assert "plain" in terminal.getvalue() and capsys.readouterr().out == ""
