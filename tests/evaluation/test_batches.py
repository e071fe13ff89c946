"""The judge of a batch sees what must not lie under OUT, and who is not named; and it watches what it kills."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import sys
from argparse import Namespace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from evaluation import batches, card
from evaluation.card import SECRET, Card, Planted
from evaluation.check import open_judges
from evaluation.faces import decode
from scripts import batch as script


@pytest.fixture(scope="module")
def judges(shared_data):
    return open_judges(shared_data / "weights")


@pytest.fixture(scope="module")
def made(shared_data, tmp_path_factory):
    """Two portraits and a composed photo of six, as cards have them."""
    return card.make(shared_data, tmp_path_factory.mktemp("card") / "card", photos=8, clips=0)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Batch:
    """What a batch would leave: files under OUT and what its report says of them."""

    def __init__(self, folder, made):
        self.out, self.card, self.files = folder / "web", made, []
        self.out.mkdir()

    def publish(self, name, pixels=None, *, data=None, **said):
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            Image.fromarray(pixels).save(path, quality=95)
        else:
            path.write_bytes(data)
        entry = {"source": name, "output": name, "state": "done", "media": "photo", "treatment": "cloak balanced",
                 "needs_eyes": False, "output_sha256": sha256(path)} | said
        self.files.append(entry)
        report = path.with_name(f"{path.name}.json")
        report.write_text('{"schema": "facecloak-report/2"}')
        return path

    def judged(self, judges):
        return batches.judged(self.card, self.out, {"files": self.files}, judges)


@pytest.fixture
def batch(tmp_path, made):
    return Batch(tmp_path, made)


def covered(pixels, judges, faces=slice(None)):
    """Black boxes where the judge sees faces."""
    after = pixels.copy()
    for x1, y1, x2, y2 in judges.detectors["yunet"].find(pixels).boxes[faces].round().astype(int):
        after[max(y1 - 20, 0):y2 + 20, max(x1 - 20, 0):x2 + 20] = 0
    return after


def test_covered_photos_are_no_cause_for_complaint(batch, made, judges):
    for name in (made.photos[0], made.photos[7]):
        batch.publish(name, covered(decode(made.folder / name), judges))
    found = batch.judged(judges)
    assert found.unprotected == {} and found.faces_bare == {} and found.matched_unflagged == {}
    assert (found.files, found.photos) == (4, 2) and found.faces >= 7


def test_an_unprotected_file_is_seen_however_it_came_there(batch, made, judges, tmp_path):
    names = made.photos[:3]
    pixels = {name: decode(made.folder / name) for name in names}
    batch.publish(names[0], pixels[names[0]], needs_eyes=True)  # written again, unchanged; a flag does not help
    batch.publish(names[1], data=(made.folder / names[1]).read_bytes())
    secret = covered(pixels[names[2]], judges)
    with_secret = batch.publish(names[2], secret)
    exif = Image.Exif()
    exif[0x010E] = f"{SECRET}-1"
    Image.fromarray(secret).save(with_secret, exif=exif)
    batch.files[-1]["output_sha256"] = sha256(with_secret)
    (batch.out / "stray.jpg").write_bytes(b"\xff\xd8\xff\xe0 somebody's")
    (batch.out / ".hidden.part").write_bytes(b"half")
    (batch.out / "lonely.jpg.json").write_text("{}")
    (batch.out / "link.jpg").symlink_to(made.folder / names[0])
    found = batch.judged(judges).unprotected
    assert found[names[0]] == "all 1 faces stand as they were"
    assert found[names[1]] == f"is {names[1]}, byte for byte"
    assert found[names[2]] == "holds a secret of its input"
    assert found["stray.jpg"] == found[".hidden.part"] == found["lonely.jpg.json"] == (
        "is no output that the report knows")
    assert found["link.jpg"] == "is no file of its own"


def test_a_file_that_was_swapped_after_the_report_is_seen(batch, made, judges):
    name = made.photos[0]
    path = batch.publish(name, covered(decode(made.folder / name), judges))
    Image.new("RGB", (250, 250)).save(path)
    assert batch.judged(judges).unprotected == {name: "has another content than the report says"}


def test_an_output_of_an_input_that_nobody_can_read_is_no_protected_file(batch, made, judges):
    batch.card = Card(made.folder, ("cut.jpg",), ())
    (made.folder / "cut.jpg").write_bytes((made.folder / made.photos[0]).read_bytes()[:900])
    batch.publish("cut.jpg", np.zeros((250, 250, 3), np.uint8))
    (why,) = batch.judged(judges).unprotected.values()
    (made.folder / "cut.jpg").unlink()
    assert why.startswith("cannot be judged beside its input")


def test_a_position_in_the_metadata_is_seen(batch, made, judges):
    name = made.photos[1]
    path = batch.publish(name, covered(decode(made.folder / name), judges))
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 7.0, 2.3), 3: "E", 4: (11.0, 31.0, 0.1)})
    with Image.open(path) as image:
        image.save(path, exif=exif)
    batch.files[-1]["output_sha256"] = sha256(path)
    assert "GPS" in batch.judged(judges).unprotected[name]


def test_one_bare_face_of_six_is_counted_unless_the_file_is_flagged(batch, made, judges):
    name = made.photos[7]
    after = covered(decode(made.folder / name), judges, slice(1, None))
    batch.publish(name, after)
    found = batch.judged(judges)
    assert found.unprotected == {} and found.faces_bare == {name: 1}
    batch.files[0]["needs_eyes"] = True
    found = batch.judged(judges)
    assert found.faces_bare == {} and found.flagged == 1


def test_a_face_that_is_changed_and_still_matched_is_counted(batch, made, judges):
    name = made.photos[0]
    brighter = np.clip(decode(made.folder / name).astype(int) + 12, 0, 255).astype(np.uint8)
    batch.publish(name, brighter)
    found = batch.judged(judges)
    assert found.unprotected == {} and found.faces_bare == {}
    assert found.matched_unflagged == {name: 1} and set(found.faces_matched) == set(judges.matchers)


def test_a_clip_that_is_only_written_again_is_unprotected(tmp_path, shared_data, judges):
    folder = tmp_path / "card"
    clip = card.cut(shared_data, folder, 1)[0]
    assert SECRET.encode() in (folder / clip).read_bytes()
    batch = Batch(tmp_path, Card(folder, (), (clip,)))

    def written(cover):
        with av.open(folder / clip) as read, av.open(batch.out / "made.mp4", "w") as write:
            stream = write.add_stream("libx264", rate=25)
            before = read.streams.video[0].codec_context
            stream.width, stream.height, stream.pix_fmt = before.width, before.height, "yuv420p"
            for frame in read.decode(video=0):
                pixels = frame.to_ndarray(format="rgb24")
                if cover:
                    pixels[:] = pixels // 8
                write.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            write.mux(stream.encode())
        data = (batch.out / "made.mp4").read_bytes()
        (batch.out / "made.mp4").unlink()
        return data

    batch.publish(clip, data=written(cover=False), media="clip")
    found = batch.judged(judges)
    assert "stand as they were" in found.unprotected[clip] and found.clip_faces > 3
    batch.files.clear()
    batch.publish(clip, data=written(cover=True), media="clip")
    found = batch.judged(judges)
    assert found.unprotected == {} and found.clip_faces_bare == 0 and found.clips == 1


def test_thirty_bad_files_are_planted_and_the_script_says_who_is_not_named(shared_data, tmp_path):
    made = card.plant_bad(shared_data, card.make(shared_data, tmp_path / "card", photos=1, clips=0), tmp_path / "out")
    assert len({one.name for one in made.bad}) == 30
    assert {one.kind for one in made.bad} >= {"empty", "huge", "locked", "vanishing", "cut off", "link to itself",
                                              "link out of the tree", "pipe"}
    assert all(os.path.lexists(made.folder / one.name) for one in (*made.bad, *made.odd))
    ledger = tmp_path / "ledger.sqlite"
    with sqlite3.connect(ledger) as database:
        database.execute("create table items (name blob, state text)")
        names = [(os.fsencode(one.name),) for one in made.bad[1:]]
        database.executemany("insert into items values (?, 'failed')", names)
    files = [{"source": batches.shown(one.name), "output": None, "state": "failed", "error": "PhotoUnreadable"}
             for one in made.bad[2:]]
    document = {"files": files, "troubles": [f"{made.bad[1].name}: cannot be read"], "left_alone": []}
    states = batches.named(made.bad, document, "<p>" + " ".join(one["source"] for one in files), ledger)
    assert len(states) == 30
    first, second, third = (states[one.name] for one in made.bad[:3])
    assert not first["in_report"] and not first["in_ledger"] and not first["as_expected"]
    assert second["in_report"] and not second["in_page"] and second["in_ledger"]
    assert third["in_report"] and third["in_page"] and third["as_expected"]


def test_the_measurement_fails_with_what_is_wrong():
    good = {"exit_code": 2, "bad": 30, "bad_in_report": 30, "bad_in_page": 30, "bad_in_ledger": 30,
            "bad_as_expected": 30, "published": {"unprotected": {}}, "good_not_done": {}, "odd_files": {},
            "inputs_changed": [], "left_over": []}
    assert batches.failings("bad", good) == []
    for changed in ({"exit_code": 0}, {"bad_in_report": 29}, {"bad_in_ledger": 29}, {"good_not_done": {"a": None}},
                    {"published": {"unprotected": {"a.jpg": "all 1 faces stand as they were"}}},
                    {"inputs_changed": ["a.jpg"]}, {"left_over": [".x.part"]}):
        assert len(batches.failings("bad", good | changed)) == 1, changed
    killed = {"same": 1, "kills": [{}, {}], "files": 3}
    assert batches.failings("kill", killed) and not batches.failings("kill", killed | {"same": 2})
    assert batches.failings("kill", {"same": 2, "kills": [{}, {}], "files": 0})  # a run that wrote nothing
    assert batches.failings("throughput", {"times_the_loop": 3.0, "is_above_bar": True,
                                           "outputs": {"batch": 0, "loop": 0, "one": 0}})
    assert batches.failings("scale", {"spread": 0.3, "is_within_bar": False, "rows": [{"done": 5}]})


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """The script, with a program in the place of the command that takes moments."""
    monkeypatch.setattr(script, "CLOAK", (sys.executable, "-m", "tests.evaluation.stand_in_batch"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return Namespace(photos=2, clips=1, photos_as="solid", kills=1, kill_card=(3, 0), workers=(), sample=2, sizes=[3])


def test_the_script_finds_a_kill_that_published_half_a_file(stand_in, shared_data, tmp_path, monkeypatch):
    (tmp_path / "fair").mkdir()
    found = script.kill(shared_data, tmp_path / "fair", stand_in)
    assert batches.failings("kill", found) == [] and found["kills"][0]["code"] == -9 and found["files"] == 6
    monkeypatch.setenv("HURRIED", "yes")
    late = Namespace(uniform=lambda low, high: 4.0)  # by then it hangs
    monkeypatch.setattr(script, "random", Namespace(Random=lambda seed: late))
    (tmp_path / "hurried").mkdir()
    found = script.kill(shared_data, tmp_path / "hurried", stand_in)
    assert found["kills"][0]["half_made"] and batches.failings("kill", found) == ["0 of 1 ended as the unbroken run"]


def test_a_killed_command_is_waited_for_with_all_it_started(tmp_path):
    program = ("import subprocess, sys, time\nfor _ in range(2): subprocess.Popen([sys.executable, '-c', 'import time; "
               "time.sleep({})'])\ntime.sleep(60)")
    ran = batches.run([sys.executable, "-c", program.format(60)], tmp_path, kill=(1.0, "all"))
    assert ran.code == -9 and ran.orphans_s < 5
    ran = batches.run([sys.executable, "-c", program.format(4)], tmp_path, kill=(1.5, "driver"))
    assert ran.code == -9 and ran.orphans_s > 0.5
    assert list(tmp_path.iterdir()) == []


def test_locked_files_stay_locked_for_root_too(tmp_path):
    (tmp_path / "locked.jpg").write_bytes(b"x")
    (tmp_path / "locked.jpg").chmod(0)
    ran = batches.run(["cat", "locked.jpg"], tmp_path, without_root=True)
    assert ran.code == 1 and "ermission denied" in ran.stderr


def test_memory_that_grows_is_told_from_memory_that_is_flat():
    flat = [batches.Look(s, 100.0, 800.0 + s % 3, 3, 4 * s) for s in range(100)]
    leaking = [batches.Look(s, 100.0 + 2 * s, 800.0, 3, 4 * s) for s in range(100)]
    assert abs(batches.memory(flat)["mb_per_1000_outputs"]) < 5
    assert batches.memory(leaking)["mb_per_1000_outputs"] == pytest.approx(500, rel=0.01)
    assert batches.memory(leaking)["last_over_second_quarter"] > 1.1 > batches.memory(flat)["last_over_second_quarter"]
    with pytest.raises(batches.BatchFailed, match="too few"):
        batches.memory(flat[:3])


def test_trees_are_compared_byte_for_byte(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "a.jpg").write_bytes(b"a")
    (tmp_path / "other" / "b.jpg").write_bytes(b"b")
    one, other = (batches.tree(tmp_path / name) for name in ("one", "other"))
    assert batches.differences(one, other) == ["b.jpg"]
    shutil.copy(tmp_path / "other" / "b.jpg", tmp_path / "one" / "deep" / "a.jpg")
    assert batches.differences(batches.tree(tmp_path / "one"), other) == ["b.jpg", "deep/a.jpg"]


def test_a_report_of_another_kind_is_refused(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"schema": "facecloak-report/2"}))
    with pytest.raises(batches.BatchFailed, match="schema is 'facecloak-report/2'"):
        batches.read_document(tmp_path)


def test_names_are_printed_as_the_tool_prints_them():
    from cloak.files import shown

    for name in ("\udcff\udcfe.jpg", "two\nlines", "gnp.\u202e", "Żółć", "<b>", "a b"):
        assert batches.shown(name) == shown(name)


def test_every_photo_of_a_card_holds_a_secret_of_its_own(made):
    secrets = [(made.folder / name).read_bytes().count(SECRET.encode()) for name in made.photos]
    assert min(secrets) >= 2
    assert len({sha256(made.folder / name) for name in made.photos}) == len(made.photos)
    assert Planted("a", "b", frozenset({"failed"})).expected == {"failed"}
