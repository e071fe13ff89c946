"""Clips in the service with the engine in it: what is covered, kept and refused, and what stays on the disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from web import clip_work
from web.kinds import Most, VideoOptions, as_json

from .clip_maker import FRAMES, LEFT, RIGHT, SIZE, is_as_it_was, is_covered, rgb_of, run_ffmpeg, two_faces
from .conftest import eventually, running
from .test_engine import NO_NETWORK, as_file, sys


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    worker = (sys.executable, "-c", NO_NETWORK)
    with running(tmp_path_factory.mktemp("clips") / "service", worker=worker, max_clip_pixels=200_000,
                 max_clip_s=20) as one:
        yield one


@pytest.fixture(scope="module")
def march(portrait, tmp_path_factory):
    return two_faces(portrait, tmp_path_factory.mktemp("clips") / "march.mp4",
                     words=("-metadata", "location=+48.85+002.29/"))


def done(service, clip=None, *, name="march.mp4", kind="video", plan=None, options="{}", **fields):
    data = clip.read_bytes() if isinstance(clip, Path) else clip
    files = {"options": (None, options)}
    files |= {"clip": (name, data)} if data is not None else {}
    files |= {"plan": ("march.plan.json", plan)} if plan else {}
    job = service.job(b"", kind=kind, files=files, wait=60, **fields)
    while job["state"] in ("queued", "running"):
        job = service.look(job, wait=60)
    return job


def written(service, job, tmp_path):
    path = tmp_path / "written.mp4"
    path.write_bytes(service.client.get(job["result"]).content)
    return path


def test_one_of_two_people_is_kept_and_the_other_covered_in_every_frame(service, march, tmp_path):
    planned = done(service, march, kind="video-plan", name="märz.mp4")
    assert planned["state"] == "done", planned["problem"]
    assert planned["size"] == [*SIZE] and planned["frames"] == FRAMES and planned["duration_s"] == pytest.approx(0.96)
    tracks = {track["number"]: track for track in planned["tracks"]}
    assert set(tracks) == {1, 2} and tracks[1]["from_s"] == 0 and tracks[1]["to_s"] == pytest.approx(0.92)
    for track in tracks.values():
        with Image.open(io.BytesIO(service.client.get(track["pictures"][0]).content)) as picture:
            assert picture.size == (160, 160)
    moment = planned["moments"][0]
    assert {box["track"] for box in moment["boxes"]} == {1, 2}
    with Image.open(io.BytesIO(service.client.get(moment["picture"]).content)) as picture:
        assert picture.size == SIZE

    plan = service.client.get(planned["plan"]).json()
    plan["tracks"][1]["decision"] = "keep"
    assert service.client.put(f"/v1/jobs/{planned['id']}/plan", content=json.dumps(plan)).status_code == 200
    made = done(service, plan_of=planned["id"], options=json.dumps(
        {"regions": [{"x": 200, "y": 170, "width": 20, "height": 20, "from_s": 0.4, "to_s": 0.6}], "audio": "drop"}))
    assert made["state"] == "done" and made["needs_a_look"] is False and made["found_again"] == []
    report = made["report"]
    assert (report["schema"], report["input"], report["output"]) == (
        "facecloak-video/1", "märz.mp4", "märz.redacted.mp4")
    assert [track["decision"] for track in report["tracks"]] == ["hide", "keep"]
    assert "kept uncovered: 2" in report["words"]
    path = written(service, made, tmp_path)
    assert b"48.85" not in path.read_bytes()
    before, after = rgb_of(march), rgb_of(path)
    assert len(after) == FRAMES
    for i in range(FRAMES):
        assert is_covered(after[i], LEFT[i]) and is_as_it_was(after[i], before[i], RIGHT[i]), i
        assert (after[i][180, 210].max() < 40) == (10 <= i < 15), i


def test_a_clip_is_covered_in_one_step_and_a_face_that_nobody_covers_is_told_with_its_time(service, march, tmp_path):
    made = done(service, march, options='{"style": "mosaic", "container": "mkv"}')
    assert made["report"]["output"] == "march.redacted.mkv" and made["report"]["settings"]["look"]["style"] == "mosaic"
    assert not any(is_as_it_was(now, then, box) for now, then, box in zip(
        rgb_of(written(service, made, tmp_path)), rgb_of(march), LEFT))
    plan = service.client.get(made["plan"]).json()
    plan["tracks"] = plan["tracks"][1:]  # as if the first face had been missed
    bare = done(service, march, plan=json.dumps(plan).encode())
    assert bare["state"] == "done" and bare["needs_a_look"] is True and bare["is_protected"] is None
    (found,) = bare["found_again"]
    assert found["from"] == "0:00:00.200" and found["from_s"] == pytest.approx(0.2)
    assert found["box"][0] < LEFT[5][2] and "LOOK at the output" in bare["report"]["words"]


def _bad(what, march, folder):
    path = folder / "bad"
    match what:
        case "text":
            return b"hello " * 100
        case "photo":
            return as_file("JPEG")
        case "sound only":
            run_ffmpeg("-f", "lavfi", "-i", "sine=440:duration=1", "-c:a", "aac", "-f", "mp4", str(path))
        case "cut off":
            # Its index at the front, as phones and pages have it: it opens, and ends in the middle
            run_ffmpeg("-i", str(march), "-c", "copy", "-movflags", "+faststart", "-f", "mp4", str(path))
            return path.read_bytes()[:-40_000]
        case "too long":
            run_ffmpeg("-f", "lavfi", "-i", "color=gray:size=64x48:rate=2:duration=21", "-f", "mp4", str(path))
        case "longer than it says":
            run_ffmpeg("-f", "lavfi", "-i", "color=gray:size=64x48:rate=25:duration=25", "-f", "mpegts", str(path))
        case "too many pixels":
            run_ffmpeg("-f", "lavfi", "-i", "color=gray:size=640x480:duration=0.2", "-f", "mp4", str(path))
        case "nobody":
            run_ffmpeg("-f", "lavfi", "-i", "color=gray:size=64x48:duration=0.4", "-f", "mp4", str(path))
        case _:
            return march.read_bytes()
    return path.read_bytes()


@pytest.mark.parametrize("what, code", [
    ("empty", "clip-unreadable"), ("text", "clip-unreadable"), ("photo", "clip-unsupported"),
    ("sound only", "clip-unsupported"), ("cut off", "clip-unreadable"), ("too long", "clip-too-long"),
    ("longer than it says", "clip-too-long"), ("too many pixels", "clip-too-large"), ("nobody", "no-face"),
    ("keep without a plan", "choices-invalid"), ("a region outside", "choices-invalid"),
    ("a huge region", "choices-invalid"), ("an impossible container", "settings-invalid")])
def test_what_the_engine_refuses_is_a_problem_without_a_path_and_keeps_nothing(service, march, tmp_path, what, code):
    options = {"keep without a plan": {"keep": [1]}, "an impossible container": {"mute": [{"from_s": 3, "to_s": 2}]},
               "a region outside": {"regions": [{"x": 900, "y": 1, "width": 5, "height": 5}]},
               "a huge region": {"regions": [{"x": 0, "y": 1, "width": 90_000, "height": 90_000}]}}
    data = b"" if what == "empty" else _bad(what, march, tmp_path)
    kinds = ("video",) if what in options or what == "nobody" else ("video", "video-plan")
    for kind in kinds:
        job = done(service, data, kind=kind, name="anna.mp4", options=json.dumps(options.get(what, {})))
        assert job["state"] == "failed" and job["problem"]["code"] == code, job["problem"]
        assert "/" not in job["problem"]["detail"] and "anna" not in job["problem"]["detail"]
        assert list((service.folder / "jobs" / job["id"]).iterdir()) == []


def test_a_job_that_is_taken_up_again_writes_over_what_the_first_try_left(march, tmp_path, monkeypatch):
    """As after a kill of the whole service: the folder is the same."""
    monkeypatch.chdir(tmp_path)
    Path("clip").write_bytes(march.read_bytes())
    Path("given.json").write_text(json.dumps(plan_with_an_area(march, FRAMES)))
    for name in ("plan.json", "clip.redacted.mp4", "clip.redacted.mp4.json", ".cloak-0123456789abcdef.part"):
        Path(name).write_bytes(b"half of it")
    most = Most(max_pixels=1, max_clip_pixels=200_000, max_clip_s=20)
    outcome = clip_work.render(as_json(VideoOptions()), most, lambda share, words: None)
    frames = rgb_of(tmp_path / outcome["result"]["file"])
    assert len(frames) == FRAMES and all(frame[25, 25].max() < 40 for frame in frames)
    assert json.loads(Path("clip.redacted.mp4.json").read_text())["regions"] == 1
    assert len(json.loads(Path("plan.json").read_text())["areas"]) == 1


def plan_with_an_area(clip, frames):
    return {"schema": "facecloak-plan/1", "clip": "clip", "sha256": hashlib.sha256(clip.read_bytes()).hexdigest(),
            "size": SIZE, "frames": frames, "cuts": [], "settings": {}, "versions": {}, "weights": {},
            "areas": [{"box": [0, 0, 50, 50], "first": 0, "last": frames - 1}], "tracks": []}


def encoders(folder):
    """Processes other than our worker that work in a folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{pid}/cwd").readlink() == folder and "ffmpeg" in Path(f"/proc/{pid}/exe").readlink().name:
                found.append(int(pid))
        except OSError:
            continue
    return found


def test_a_clip_cancelled_while_it_is_written_leaves_no_file_and_no_encoder(service, portrait, tmp_path):
    clip = two_faces(portrait, tmp_path / "long.mp4", frames=490)
    plan = plan_with_an_area(clip, 490)
    folders = set(service.folders)
    job = service.job(b"", kind="video", files={"clip": clip.read_bytes(), "plan": json.dumps(plan).encode()})
    folder = service.folder / "jobs" / job["id"]
    eventually(lambda: encoders(folder), 30)
    assert service.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    eventually(lambda: not encoders(folder) and not encoders(folder.with_name(f"{folder.name} (deleted)")))
    eventually(lambda: set(service.folders) == folders)


def test_a_clip_without_faces_is_cleaned_where_the_client_asks_and_needs_a_look(service, tmp_path):
    empty = tmp_path / "empty.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=gray:size=160x120:rate=10:duration=1", "-pix_fmt", "yuv420p",
               "-metadata", "comment=somebody was here", empty)
    assert done(service, empty)["problem"]["code"] == "no-face"
    planned = done(service, empty, kind="video-plan")
    assert (planned["state"], planned["tracks"]) == ("done", [])
    job = done(service, plan_of=planned["id"], options='{"no_face": "clean"}')
    assert (job["state"], job["needs_a_look"], job["report"]["tracks"]) == ("done", True, []), job["problem"]
    assert b"somebody" in empty.read_bytes() and b"somebody" not in written(service, job, tmp_path).read_bytes()
