"""The folder of installed models: whole or not at all, and nothing outside it is touched."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import stat
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak import store
from cloak.errors import CloakError, ModelRefused, SettingsInvalid, WeightsCorrupt, WeightsMissing
from cloak.store import Model, Recipe

RECIPE = Recipe(crop="arcface112", mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375), channels="bgr",
                layout="nhwc", size_px=128)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "Some Net.ONNX"
    path.write_bytes(b"not really a network" * 1000)
    return path


def about(file: Path, name: str = "mine", **fields) -> Model:
    size, sha256 = store.measure(file)
    return dataclasses.replace(Model(name=name, role="surrogate", loads_as="onnx", path=file, size=size, sha256=sha256,
                                     licence="MIT", source="a test", origin="added", recipe=RECIPE), **fields)


def held(folder: Path) -> list[str]:
    """Everything under `folder`, relative."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- a way in and out --------------------------------------------------------------------------------------------


def test_what_was_added_is_described_as_it_was_given(models, file):
    assert store.installed() == ()
    added = store.add(about(file, cautions=("one", "two"), non_commercial=True, training_data="faces"))
    (found,) = store.installed()
    assert found == added == store.describe("mine")
    assert dataclasses.replace(found, path=file, installed_at="") == about(
        file, cautions=("one", "two"), non_commercial=True, training_data="faces")
    assert found.path == models / "mine" / "mine.onnx" and found.path.read_bytes() == file.read_bytes()
    assert found.verify() == found.path
    assert file.exists() and held(models) == ["mine", "mine/mine.onnx", "mine/model.toml"]


def test_models_come_in_the_order_of_their_names(models, file):
    for name in ("zeta", "alpha", "m2"):
        store.add(about(file, name))
    assert [model.name for model in store.installed()] == ["alpha", "m2", "zeta"]


def test_calibration_lies_beside_the_model_it_was_made_for(models, file):
    assert not store.add(about(file, "bare")).calibration.exists()
    model = store.add(about(file), check=lambda path: {"threshold": 0.25})
    assert json.loads(model.calibration.read_text()) == {"threshold": 0.25}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps permissions otherwise")
def test_the_store_is_its_owners_alone(models, file):
    before = os.umask(0)
    try:
        store.add(about(file), check=lambda path: {})
    finally:
        os.umask(before)
    for path in (models, *models.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_name_is_given_once(models, file):
    first = store.add(about(file))
    other = file.with_name("other.onnx")
    other.write_bytes(b"other")
    with pytest.raises(ModelRefused, match="a model of this name is installed"):
        store.add(about(other))
    assert store.installed() == (first,) and first.verify()
    store.add(about(other), replace=True)
    assert store.describe("mine").verify().read_bytes() == b"other"
    assert held(models) == ["mine", "mine/mine.onnx", "mine/model.toml"]


def test_a_removed_model_is_gone_and_the_others_stay(models, file):
    store.add(about(file))
    store.add(about(file, "other"))
    store.remove("mine")
    assert [model.name for model in store.installed()] == ["other"]
    assert held(models) == ["other", "other/model.toml", "other/other.onnx"]
    with pytest.raises(ModelRefused, match="no such model"):
        store.remove("mine")
    with pytest.raises(WeightsMissing):
        store.describe("mine")


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "", ".", "..", "../x", "a/b", "/etc", "a\\b", "C:x", ".hidden", "-rf", "x.", "x..y", "X", "MobileFaceNet", "ü",
    "a b", "a\n", "a\0", "con", "nul.onnx", "com1", "a" * 65, "a" * 300, "~", "$HOME", "\u202ename"])
def test_a_name_that_is_no_folders_name_everywhere_is_refused(models, file, name):
    outside = held(file.parent)
    model = dataclasses.replace(about(file), name=name)
    for use in (lambda: store.add(model), lambda: store.remove(name), lambda: store.describe(name)):
        with pytest.raises(ModelRefused, match="not a name for a model"):
            use()
    assert held(file.parent) == outside and not models.exists()


@given(st.text(max_size=70))
def test_every_accepted_name_is_one_lower_case_folder(name):
    try:
        store.check_name(name)
    except ModelRefused:
        return
    assert name == name.lower() == Path(name).name and not name.startswith(".") and name.isascii()


def test_removing_follows_no_link_out_of_the_store(models, file):
    store.add(about(file))
    (models / "other").symlink_to(file.parent, target_is_directory=True)
    with pytest.raises(ModelRefused, match="is a link"):
        store.remove("other")
    assert file.exists()


# --- whole or not at all -----------------------------------------------------------------------------------------


def test_a_refused_check_leaves_nothing_and_sees_the_copy(models, file):
    seen = []

    def refuse(path: Path) -> None:
        seen.append(path)
        assert path.read_bytes() == file.read_bytes() and models in path.parents
        assert store.installed() == ()  # not a model yet
        raise ModelRefused("it tells nobody apart")

    with pytest.raises(ModelRefused, match="nobody apart"):
        store.add(about(file), check=refuse)
    assert seen and held(models) == []


def test_a_file_exchanged_while_it_is_added_is_refused(models, file):
    promised = about(file)
    file.write_bytes(b"something else")
    with pytest.raises(WeightsCorrupt, match="not what was read before"):
        store.add(promised)
    assert held(models) == []


def test_a_failure_while_writing_leaves_the_old_model(models, file, monkeypatch):
    first = store.add(about(file))
    other = file.with_name("other.onnx")
    other.write_bytes(b"other")
    real = os.rename

    def full(source, target):
        if Path(target) == models / "mine" and Path(source).name == "mine":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(ModelRefused, match="No space left"):
        store.add(about(other), replace=True)
    assert store.installed() == (first,) and first.verify().read_bytes() == file.read_bytes()
    assert [name for name in held(models) if name.startswith(".")] == []


def test_of_several_that_add_one_name_at_once_one_succeeds_and_is_whole(models, file):
    files = []
    for i in range(6):
        files.append(file.with_name(f"{i}.onnx"))
        files[-1].write_bytes(bytes([i]) * 100_000)
    ends: list[object] = []
    start = threading.Barrier(len(files))

    def one(path: Path) -> None:
        model = about(path)
        start.wait()
        try:
            ends.append(store.add(model))
        except ModelRefused as error:
            ends.append(error)

    threads = [threading.Thread(target=one, args=(path,)) for path in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    added = [end for end in ends if isinstance(end, Model)]
    assert len(ends) == len(files) and len(added) == 1
    assert store.installed() == tuple(added) and added[0].verify()
    assert held(models) == ["mine", "mine/mine.onnx", "mine/model.toml"]


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "huge"])
def test_what_is_no_ordinary_file_is_refused_without_waiting(models, tmp_path, kind):
    path = tmp_path / "odd"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "huge":
        with path.open("wb") as file:
            file.truncate(store.LARGEST_FILE + 1)  # sparse: takes no space
    with pytest.raises(CloakError, match="Nothing was installed"):
        store.measure(path)


def test_a_store_that_cannot_be_made_is_one_clear_error(models, file):
    models.write_text("a file where the folder should be")
    with pytest.raises(ModelRefused, match="FACECLOAK_MODELS"):
        store.add(about(file))


# --- damaged -----------------------------------------------------------------------------------------------------

DAMAGES = {
    "gone": lambda text: None,
    "empty": lambda text: "",
    "no TOML": lambda text: "\x00\xff = [",
    "cut": lambda text: text[: len(text) // 2],
    "other name": lambda text: text.replace('name = "mine"', 'name = "yours"'),
    "way out": lambda text: text.replace('file = "mine.onnx"', 'file = "../../secret"'),
    "way out for Windows": lambda text: text.replace('file = "mine.onnx"', r'file = "..\\secret"'),
    "no file": lambda text: text.replace('file = "mine.onnx"', 'file = ".."'),
    "short hash": lambda text: text.replace('sha256 = "', 'sha256 = "x'),
    "size as text": lambda text: text.replace("size = ", 'size = "a" #'),
    "wrong kind": lambda text: text.replace("non_commercial = false", "non_commercial = 0"),
    "unknown origin": lambda text: text.replace('origin = "added"', 'origin = "found"'),
    "scale of nought": lambda text: text.replace("58.395", "0.0"),
    "unknown crop": lambda text: text.replace("arcface112", "arcface113"),
    "more in the recipe": lambda text: text + "extra = 1\n",
    "too long": lambda text: text + "# " + "x" * 70_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_description_is_named_and_hides_no_other_model(models, file, damage):
    store.add(about(file))
    store.add(about(file, "other"))
    path = models / "mine" / "model.toml"
    changed = DAMAGES[damage](path.read_text())
    assert changed != path.read_text()
    path.unlink() if changed is None else path.write_text(changed, encoding="latin-1")
    for use in (lambda: store.describe("mine"), store.installed):
        with pytest.raises(WeightsCorrupt, match="cloak models remove mine") as error:
            use()
        assert str(path) in str(error.value)
    sound, damaged = store.survey()
    assert [model.name for model in sound] == ["other"] and list(damaged) == ["mine"]
    store.remove("mine")
    assert [model.name for model in store.installed()] == ["other"]


def test_what_a_killed_process_left_is_swept_away_later(models, file):
    store.add(about(file))
    for name, age_s in ((".work-old", 2 * 24 * 3600), (".work-new", 60)):
        (models / name / "half").mkdir(parents=True)
        os.utime(models / name, (time.time() - age_s,) * 2)
    store.add(about(file, "other"))
    assert not (models / ".work-old").exists() and (models / ".work-new").exists()
    assert [model.name for model in store.installed()] == ["mine", "other"]


def test_what_is_no_model_in_the_folder_is_left_alone(models, file):
    store.add(about(file))
    (models / ".DS_Store").write_bytes(b"x")
    (models / "notes.txt").write_text("x")
    (models / ".work-abandoned").mkdir()
    assert [model.name for model in store.installed()] == ["mine"]


@given(licence=st.text(max_size=40), caution=st.text(max_size=40), mean=st.floats(-1e6, 1e6),
       scale=st.floats(1e-9, 1e9))
def test_any_text_and_number_survives_its_description(licence, caution, mean, scale):
    recipe = Recipe(crop="dlib150", mean=(mean, 0.0, -1.0), scale=(scale, 1.0, 2.0), channels="rgb")
    model = Model(name="mine", role="surrogate", loads_as="onnx", path=Path("/store/mine/mine.onnx"), size=1,
                  sha256=hashlib.sha256(b"x").hexdigest(), licence=licence, source="s", origin="added",
                  cautions=(caution, caution), recipe=recipe)
    table = store.tomllib.loads(store._to_toml(model))
    assert store._from_table(table, Path("/store/mine/model.toml")) == model


# --- recipes and places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [
    {"crop": "arcface"}, {"crop": "../x"}, {"channels": "RGB"}, {"layout": "chw"}, {"mean": (1.0, 2.0)},
    {"mean": (math.nan, 0.0, 0.0)}, {"scale": (1.0, 0.0, 1.0)}, {"scale": (1.0, -1.0, 1.0)},
    {"scale": (1.0, math.inf, 1.0)}, {"size_px": 0}, {"size_px": 4096}])
def test_a_recipe_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(SettingsInvalid, match="choose|finite|above 0"):
        dataclasses.replace(RECIPE, **wrong)


def test_the_store_lies_where_the_system_keeps_such_data(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FACECLOAK_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setattr(sys, "platform", "linux")
    assert store.folder() == tmp_path / ".local/share/facecloak/models"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store.folder() == tmp_path / "data/facecloak/models"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert store.folder() == tmp_path / "Library/Application Support/facecloak/models"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert store.folder() == tmp_path / "Local/facecloak/models"
    monkeypatch.setenv("FACECLOAK_MODELS", str(tmp_path / "chosen"))
    assert store.folder() == tmp_path / "chosen"
    assert not list(tmp_path.iterdir())  # asking makes nothing
