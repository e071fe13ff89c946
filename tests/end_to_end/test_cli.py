"""The installed command on real photos, with the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cloak import load_report
from cloak.icc import colours_only

COMMAND = Path(sys.executable).with_name("cloak")


def cloak(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *map(str, words)], cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def portrait_jpeg(portrait, tmp_path_factory):
    path = tmp_path_factory.mktemp("portrait") / "march.jpg"
    with Image.open(portrait) as image:
        image.convert("RGB").save(path, quality=95)
    return path


@pytest.fixture(scope="module")
def cloaked(portrait_jpeg):
    """(the finished command, the output) of one plain run; the tests below look at it from several sides."""
    run = cloak("photo", portrait_jpeg.name, "--device", "cpu", cwd=portrait_jpeg.parent)
    return run, portrait_jpeg.with_name("march.cloaked.jpg")


def test_a_portrait_is_cloaked_judged_and_reported(portrait_jpeg, cloaked):
    run, output = cloaked
    report = load_report(output.with_name(output.name + ".json"))
    assert run.returncode == (0 if report.is_protected else 3), run.stderr
    assert run.stderr == "" and "\x1b" not in run.stdout
    assert report.input == "march.jpg" and report.output == output.name
    (face,) = report.faces
    for verdict in face.verdicts:
        assert verdict.similarity_after < verdict.similarity_before
        assert f"{verdict.similarity_before:.2f} -> {verdict.similarity_after:.2f}" in run.stdout
    assert report.words in run.stdout and all(note in run.stdout for note in report.notes)


def test_the_bundled_recogniser_no_longer_matches_the_portrait(cloaked):
    """The reason this program exists; `balanced` is the default."""
    run, output = cloaked
    report = load_report(output.with_name(output.name + ".json"))
    assert report.is_protected and run.returncode == 0


def test_the_change_is_small_and_lies_on_the_face_alone(portrait_jpeg, cloaked):
    _, output = cloaked
    with Image.open(portrait_jpeg) as before, Image.open(output) as after:
        assert before.size == after.size and after.mode == "RGB"
        change = np.abs(np.array(after).astype(int) - np.array(before)).max(2)
    x1, y1, x2, y2 = load_report(output.with_name(output.name + ".json")).faces[0].box
    w, h = x2 - x1, y2 - y1
    inside = np.zeros(change.shape, bool)
    inside[max(0, int(y1 - h)) : int(y2 + h), max(0, int(x1 - w)) : int(x2 + w)] = True
    assert change[inside].mean() > 0.1 and change[~inside].mean() < 1.5  # outside: only what JPEG does
    assert change.max() < 80


def test_the_input_is_untouched_and_nothing_else_is_written(portrait_jpeg, cloaked, portrait, tmp_path):
    names = sorted(path.name for path in portrait_jpeg.parent.iterdir())
    assert names == ["march.cloaked.jpg", "march.cloaked.jpg.json", "march.jpg"]
    source = tmp_path / "a.png"
    source.write_bytes(portrait.read_bytes())
    os.utime(source, ns=(1, 1))
    cloak("photo", "a.png", "--device", "cpu", cwd=tmp_path)
    assert source.read_bytes() == portrait.read_bytes() and source.stat().st_mtime_ns == 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(portrait_jpeg, cloaked, tmp_path):
    for name, seed in (("same.jpg", 0), ("other.jpg", 1)):
        cloak("photo", portrait_jpeg, "-o", name, "--seed", seed, "--device", "cpu", cwd=tmp_path)
    assert (tmp_path / "same.jpg").read_bytes() == cloaked[1].read_bytes() != (tmp_path / "other.jpg").read_bytes()


def test_verify_agrees_with_the_report_written_beside(portrait_jpeg, cloaked):
    _, output = cloaked
    run = cloak("verify", output.name, "--original", portrait_jpeg.name, "--json", cwd=output.parent)
    verdict = json.loads(run.stdout)["faces"][0]["verdicts"][0]
    beside = load_report(output.with_name(output.name + ".json")).faces[0].verdicts[0]
    assert abs(verdict["similarity_after"] - beside.similarity_after) < 0.02
    assert verdict["is_matched"] == beside.is_matched


def test_verify_sees_that_an_unprotected_photo_is_still_matched(portrait_jpeg):
    run = cloak("verify", portrait_jpeg.name, "--original", portrait_jpeg.name, cwd=portrait_jpeg.parent)
    assert run.returncode == 3, run.stdout + run.stderr


def test_strength_changes_the_picture(portrait_jpeg, tmp_path):
    changes = []
    with Image.open(portrait_jpeg) as image:
        original = np.array(image).astype(int)
    for strength in ("light", "strong"):
        cloak("photo", portrait_jpeg, "-o", f"{strength}.jpg", "--strength", strength, "--device", "cpu", cwd=tmp_path)
        with Image.open(tmp_path / f"{strength}.jpg") as image:
            changes.append(float(np.square(np.array(image) - original).mean()))
    assert changes[0] < changes[1]


def test_every_orientation_shows_the_same_two_faces(shared_data, tmp_path):
    photos = [shared_data / "photos" / f"orientation-{i}.jpg" for i in range(1, 9)]
    run = cloak("faces", *photos, "--json", "--no-picture", cwd=tmp_path)
    found = [[face["box"] for face in photo["faces"]] for photo in json.loads(run.stdout)["photos"]]
    truth = json.loads((shared_data / "photos" / "two-faces.json").read_text())["boxes"]
    assert run.returncode == 0 and len(found) == 8
    for x1, y1, x2, y2 in truth:
        for boxes in found:  # the centre of each true box lies in a found one
            assert any(a < (x1 + x2) / 2 < c and b < (y1 + y2) / 2 < d for a, b, c, d in boxes)


@pytest.fixture(scope="module")
def whole_folder(shared_data, tmp_path_factory):
    """(the finished command, its outputs) for every file of the test data's photos, good and bad, in one go."""
    folder = tmp_path_factory.mktemp("all")
    run = cloak("photo", shared_data / "photos", "-o", "out", "--redact", "solid", "--json", cwd=folder)
    return run, folder / "out"


BAD = {
    "truncated.jpg": "cut off or damaged", "text-named.jpg": "plain text", "empty.jpg": "empty",
    "bomb-60000x60000.png": "60000 x 60000", "no-face.jpg": "finds no face",
}


def test_every_bad_file_of_a_folder_is_named_and_every_other_one_is_written(whole_folder, shared_data):
    """Older tools copied a faceless photo under the cloaked name, and stopped at the first broken file."""
    run, out = whole_folder
    document = json.loads(run.stdout)
    assert run.returncode == document["exit_code"] == 2
    errors = {Path(photo["input"]).name: photo["error"] for photo in document["photos"] if photo["error"]}
    assert errors.keys() == BAD.keys()
    for name, words in BAD.items():
        assert words in errors[name] and "othing was" in errors[name]
    lines = [line for line in run.stderr.splitlines() if "left alone" not in line]
    assert len(lines) == len(BAD) and all(line.startswith("cloak: ") for line in lines)
    source, suffixes = shared_data / "photos", {".jpg", ".png", ".webp"}
    photos = {p.relative_to(source) for p in source.rglob("*") if p.suffix in suffixes}
    written = {p.relative_to(out) for p in out.rglob("*") if p.suffix in suffixes}
    assert written == {p for p in photos if p.name not in BAD} and len(written) > 20
    assert {p.relative_to(out) for p in out.rglob("*.json")} == {p.with_name(p.name + ".json") for p in written}


def test_nothing_in_the_folder_of_the_inputs_changed(whole_folder, shared_data):
    names = sorted(p.name for p in (shared_data / "photos").iterdir())
    assert not [name for name in names if "redacted" in name or "cloaked" in name or name.startswith(".cloak")]


def test_every_written_file_keeps_its_kind_and_holds_no_clear_face(whole_folder, shared_data):
    _, out = whole_folder
    for report in (load_report(path) for path in sorted(out.rglob("*.json"))):
        assert report.is_protected and {face.status for face in report.faces} == {"redacted"}, report.output
    for name, mode in (("grey.jpg", "L"), ("rgba.png", "RGBA"), ("cmyk.jpg", "RGB"), ("rgb16.png", "RGB"),
                       ("grey16.png", "L"), ("progressive.jpg", "RGB"), ("photo.webp", "RGB")):
        with Image.open(out / name) as after, Image.open(shared_data / "photos" / name) as before:
            assert (after.mode, after.size, after.format) == (mode, before.size, before.format), name
    notes = {name: load_report(out / f"{name}.json").notes for name in ("rgb16.png", "cmyk.jpg", "grey.jpg")}
    assert any("16 bits" in note for note in notes["rgb16.png"]) and any("CMYK" in note for note in notes["cmyk.jpg"])
    assert len(notes["grey.jpg"]) == 1, "nothing was lost, so only the limits are said"


def test_all_eight_orientations_are_covered_in_the_same_places(whole_folder):
    _, out = whole_folder
    boxes = [[face.box for face in load_report(out / f"orientation-{i}.jpg.json").faces] for i in range(1, 9)]
    first = np.array(Image.open(out / "orientation-1.jpg"))
    for i in range(2, 9):
        with Image.open(out / f"orientation-{i}.jpg") as image:
            assert image.size == first.shape[1::-1] and not image.getexif()
            assert len(boxes[i - 1]) == len(boxes[0])
            assert np.abs(np.array(image).astype(int) - first).mean() < 2, i


def test_a_photo_without_a_face_is_code_4_and_writes_nothing(shared_data, tmp_path):
    run = cloak("photo", shared_data / "photos" / "no-face.jpg", "-o", "out.jpg", cwd=tmp_path)
    assert run.returncode == 4 and list(tmp_path.iterdir()) == [] and len(run.stderr.splitlines()) == 1


def test_no_canary_is_left_in_the_output_or_the_report(shared_data, tmp_path):
    photos = shared_data / "photos"
    run = cloak("photo", photos / "canaries.jpg", "-o", "out.jpg", "--device", "cpu", cwd=tmp_path)
    assert run.returncode in (0, 3), run.stderr
    planted = json.loads((photos / "canaries.json").read_text())["must_be_gone"]["bytes"]
    for path in tmp_path.iterdir():
        assert not [canary for canary in planted if canary.encode() in path.read_bytes()], path
    assert str(photos) not in (tmp_path / "out.jpg.json").read_text()
    with Image.open(tmp_path / "out.jpg") as after, Image.open(photos / "canaries.jpg") as before:
        assert after.info["icc_profile"] == colours_only(before.info["icc_profile"]) and not after.getexif()


def test_any_name_goes_through_the_installed_command(portrait_jpeg, tmp_path):
    names = ["-dash 'q\".jpg", "[red]Ünï-拍.jpg", os.fsdecode(b"l-\xe9.jpg"), "n" * 251 + ".jpg"]
    for name in names:
        (tmp_path / name).write_bytes(portrait_jpeg.read_bytes())
    run = cloak("photo", "--device", "cpu", "--strength", "light", "--", *names, cwd=tmp_path)
    assert run.returncode in (0, 3) and run.stderr == "", run.stderr
    assert len(list(tmp_path.iterdir())) == 3 * len(names)
    assert "[red]Ünï-拍.jpg -> [red]Ünï-拍.cloaked.jpg" in run.stdout and "l-\\xe9.jpg" in run.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_leaves_nothing_behind(portrait_jpeg, tmp_path, how):
    inputs = []
    for i in range(4):
        inputs.append(tmp_path / f"{i}.jpg")
        inputs[-1].write_bytes(portrait_jpeg.read_bytes())
    process = subprocess.Popen([COMMAND, "photo", *inputs, "-o", "out", "--device", "cpu"], cwd=tmp_path,
                               stderr=subprocess.PIPE, text=True,
                               # Whoever runs the tests in the background has them ignore it, and so what they start
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (tmp_path / "out").exists() and process.poll() is None:  # it is past its imports and arguments
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == "cloak: stopped. Photos that were not finished were not written.\n"
    left = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path]
    assert not [name for name in left if name.startswith(".cloak-")]
    assert {name for name in left if name.endswith(".jpg")} == {n[:-5] for n in left if n.endswith(".json")}


def test_a_full_disk_is_one_line_and_leaves_nothing(portrait_jpeg, tmp_path):
    # A quota of 8 kB per file, refused by the kernel itself: torch needs none on the CPU.
    limited = ("import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
               "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
               "sys.argv[0] = 'cloak'\nfrom cloak.cli import main\nmain()\n")
    run = subprocess.run([sys.executable, "-B", "-c", limited, "photo", "-o", "out.jpg", "--device", "cpu",
                          str(portrait_jpeg)], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1, run.stderr
    assert "cannot be written" in run.stderr and list(tmp_path.iterdir()) == []
