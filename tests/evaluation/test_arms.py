"""Arms of our own making, of another tool, and of the engine's redactions."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from evaluation import arms, protect
from evaluation.faces import decode
from tests.evaluation.conftest import ASTRONAUT_BOX


@pytest.fixture
def photos(tmp_path):
    """Two subjects, two photos each, of which two share a bare name."""
    root = tmp_path / "people"
    found = [root / "Ana" / "one.jpg", root / "Ana" / "two.jpg", root / "Ben" / "one.jpg", root / "Ben" / "three.png"]
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    return root, found


def made(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (9, 9, 9)).save(folder / name)
    return folder


def test_another_tools_files_are_found_by_path_and_by_name_in_any_format(photos, tmp_path):
    root, probes = photos
    folder = made(tmp_path / "tool", "Ana/one.png", "two.webp", "Ben/one.jpeg", "three.jpg")
    names = {photo: path.relative_to(folder).as_posix() for photo, path in arms.supplied(folder, probes, root).items()}
    assert list(names.values()) == ["Ana/one.png", "two.webp", "Ben/one.jpeg", "three.jpg"]
    assert list(names) == probes


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "holds no photo"),
        (("notes.txt.jpg", "Ana/one.jpg"), "no file for 3 of 4 photos: Ana/two, Ben/one, Ben/three"),
        (("Ana/two.jpg", "Ben/one.jpg", "Ben/three.jpg", "one.jpg"), "no file for 1 of 4 photos: Ana/one"),
        (("Ana/one.jpg", "Ana/one.png", "Ana/two.jpg", "Ben/one.jpg", "Ben/three.jpg"), "one.jpg and one.png"),
    ],
    ids=["empty", "incomplete", "a name two photos share", "two for one"],
)
def test_a_folder_that_is_not_whole_is_refused_by_what_is_missing(photos, tmp_path, files, said):
    root, probes = photos
    (tmp_path / "tool").mkdir()
    with pytest.raises(arms.ArmIncomplete, match=said) as raised:
        arms.supplied(made(tmp_path / "tool", *files), probes, root)
    assert "othing was judged" in str(raised.value)


def test_a_folder_that_is_not_there_is_refused(photos, tmp_path):
    with pytest.raises(arms.ArmIncomplete, match="no such folder"):
        arms.supplied(tmp_path / "nowhere", photos[1], photos[0])


@pytest.mark.parametrize("name", ["naive-blur", "naive-mosaic"])
def test_a_naive_arm_changes_the_face_and_nothing_else(astronaut_png, tmp_path, name):
    original = decode(astronaut_png)
    changed = decode(arms.make(name, {astronaut_png: ASTRONAUT_BOX}, tmp_path / name)[astronaut_png])
    left, top, right, bottom = ASTRONAUT_BOX.astype(int)
    assert np.abs(changed[top:bottom, left:right].astype(int) - original[top:bottom, left:right]).mean() > 10
    different = (changed != original).any(axis=2)
    assert different[top:bottom, left:right].mean() > 0.9
    assert not different[300:].any() and not different[:, 300:].any()


def test_the_naive_blur_is_a_gaussian_relative_to_the_face(tmp_path):
    point = np.zeros((201, 201, 3), np.uint8)
    point[100, 100] = 255
    Image.fromarray(point).save(tmp_path / "point.png")
    box = np.array([90, 90, 115, 115], np.float32)  # 25 px wide: sigma 2
    blurred = decode(arms.naive_blur(tmp_path / "point.png", tmp_path / "out", box))
    assert blurred[100, 100, 0] == pytest.approx(255 / (2 * np.pi * 4), abs=1)


def test_the_naive_mosaic_has_sixteen_cells_across_the_face_each_its_mean(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (208, 208, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    box = np.array([24, 24, 184, 184], np.float32)  # enlarged 1.3x it is the whole picture: 160 / 16 = 10 px
    mosaic = decode(arms.naive_mosaic(tmp_path / "noise.png", tmp_path / "out", box))
    edges = np.flatnonzero((np.diff(mosaic[0].astype(int), axis=0) != 0).any(axis=1)) + 1
    assert len(edges) + 1 == 21 and 9 <= np.diff(edges).min() <= np.diff(edges).max() <= 10
    first = noise[: edges[0], : edges[0]].reshape(-1, 3).mean(0)
    assert np.abs(mosaic[0, 0] - first).max() < 6


def test_a_face_at_the_rim_or_tiny_is_treated_as_far_as_it_is_there(tmp_path):
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "small.png")
    for box in ([-20, -20, 5, 5], [38, 28, 60, 60], [10, 10, 12, 12], [-90, -90, -50, -50]):
        for treat in (arms.naive_blur, arms.naive_mosaic, arms.solid_box):
            path = treat(tmp_path / "small.png", tmp_path / "out", np.array(box, np.float32))
            assert decode(path).shape == (30, 40, 3)


def test_an_arm_of_that_name_or_none():
    with pytest.raises(ValueError, match="no arm is called 'solid'; there are naive-blur.*redact-ring"):
        arms.make("solid", {}, None)


@pytest.mark.parametrize("style", protect.STYLES)
def test_a_redaction_arm_is_covered_by_the_engine(tmp_path, astronaut_png, style):
    (written,) = arms.make(f"redact-{style}", {astronaut_png: ASTRONAUT_BOX}, tmp_path / style).values()
    before, after = (np.array(Image.open(path).convert("RGB")).astype(int) for path in (astronaut_png, written))
    left, top, right, bottom = np.array(ASTRONAUT_BOX).astype(int)
    assert np.abs(after - before)[top:bottom, left:right].mean() > 20
    assert not (after - before)[bottom + 200 :].any()


def test_a_file_of_an_earlier_run_does_not_pass_for_one_of_this_run(monkeypatch, tmp_path, astronaut_png):
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm" / "0000-astronaut.png").write_bytes(b"old")
    monkeypatch.setattr(protect, "redact", lambda paths, folder, style: dict.fromkeys(folder.iterdir()))
    assert arms.make("redact-solid", {astronaut_png: ASTRONAUT_BOX}, tmp_path / "arm") == {}


def test_the_command_refuses_an_arm_without_a_folder():
    run = subprocess.run(
        [sys.executable, "-m", "evaluation", "rekognition", "--out", "x.json", "--arm", "fawkes"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and "'fawkes' is not NAME=FOLDER" in run.stderr
