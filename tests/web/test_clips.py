"""Clips in the service: plans, decisions, who may see what, and that nothing stays. The engine is left out."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from web.pace import Pace
from web.plans import checked
from web.problems import Problem

from .conftest import STUB, eventually, running


@pytest.fixture
def planned(service):
    """A `video-plan` job that is done."""
    job = service.job(b"", kind="video-plan", files={"clip": ("märz.mp4", b"fine")})
    return service.look(job, wait=30)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A service for many requests that it refuses."""
    with running(tmp_path_factory.mktemp("desk") / "service") as one:
        yield one


@pytest.fixture(scope="module")
def decided(desk):
    job = desk.job(b"", kind="video-plan", files={"clip": ("märz.mp4", b"fine")})
    return desk.look(job, wait=30)


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}") and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def put(service, job, plan, **headers):
    data = plan if isinstance(plan, bytes) else json.dumps(plan).encode()
    return service.client.put(f"/v1/jobs/{job['id']}/plan", content=data, headers=headers)


def test_faces_are_shown_decided_about_and_covered_without_sending_the_clip_again(service, planned):
    (track,) = planned["tracks"]
    assert planned["name"] == "märz.mp4" and track["decision"] == "hide" and planned["is_protected"] is None
    picture = service.client.get(track["pictures"][0])
    assert picture.content == b"\xff\xd8 a face" and picture.headers["content-type"] == "image/jpeg"
    plan = service.client.get(planned["plan"]).json()
    plan["tracks"][0]["decision"], plan["tracks"][0]["style"] = "keep", "mosaic"
    answer = put(service, planned, plan)
    assert answer.status_code == 200 and [(t["decision"], t["style"]) for t in answer.json()["tracks"]] == [
        ("keep", "mosaic")]
    assert service.client.get(planned["plan"]).json() == plan

    made = service.job(b"", kind="video", files={"options": (None, "{}")}, plan_of=planned["id"], wait=30)
    assert made["state"] == "done" and made["name"] == "märz.mp4"
    assert service.client.get(made["plan"]).json() == plan
    result = service.client.get(made["result"])
    assert result.content == b"covered" and result.headers["content-type"] == "video/mp4"
    assert "m%C3%A4rz.redacted.mp4" in result.headers["content-disposition"]


def test_a_plan_that_is_changed_later_changes_no_job_that_has_it(service, planned):
    before = service.client.get(planned["plan"]).json()
    service.job(b"", kind="video-plan", files={"clip": b"sleep 60"})
    waits = service.job(b"", kind="video", files={"options": (None, "{}")}, plan_of=planned["id"])
    assert put(service, planned, {**before, "tracks": []}).json()["tracks"][0]["decision"] is None
    assert json.loads((service.folder / "jobs" / waits["id"] / "given.json").read_bytes()) == before


def test_another_token_sees_no_clip_no_plan_and_no_face(service, planned):
    other = {"Authorization": f"Bearer {service.new_token()}"}
    plan = service.client.get(planned["plan"]).content
    for path in (planned["plan"], planned["tracks"][0]["pictures"][0]):
        assert service.client.get(path, headers=other).json()["code"] == "not-found"
    assert put(service, planned, plan, **other).json()["code"] == "not-found"
    taken = service.client.post("/v1/jobs", data={"kind": "video", "plan_of": planned["id"]},
                                files={"options": (None, "{}")}, headers=other)
    assert taken.json()["code"] == "not-found"
    assert service.client.get(planned["plan"]).content == plan


@pytest.mark.parametrize("change, words", [
    ({"sha256": "1" * 64}, "another clip"), ({"size": [65, 48]}, "65 x 48"), ({"frames": 6}, "6 frames"),
    ({"tracks": [{"number": 1}]}, "missing or unknown"), ({"schema": "facecloak-plan/9"}, "schema"),
    ({"settings": {"look": {"style": "picture", "colour": [0, 0, 0], "picture": "/etc/passwd", "paranoid": False,
                            "start_s": 0, "end_s": None}}}, "picture is not offered"),
    ({"settings": {"look": {"style": "solid", "colour": [0, 0, 0], "picture": "/etc/passwd", "paranoid": False,
                            "start_s": 0, "end_s": None}}}, "picture is not offered"),
    ({"settings": {"look": "solid"}}, "settings.look"),
    ({"areas": [{"box": [0, 0, 100_000, 10], "first": 0, "last": 1}]}, "far outside"),
    ({"areas": [{"box": [0, 0, 10, 10], "first": 3, "last": 1}]}, "areas"),
    (b"{", "no plan"), (b"\xff", "UTF-8"), (b"", "no plan"), (b"[" * 100_000, "no plan"),
    (b'{"settings": 1e999}', "no plan")])
def test_a_plan_that_is_none_or_for_another_clip_is_refused_and_changes_nothing(desk, decided, change, words):
    before = desk.client.get(decided["plan"]).content
    sent = change if isinstance(change, bytes) else {**json.loads(before), **change}
    answer = put(desk, decided, sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "plan-invalid") and words in answer.text
    assert str(desk.folder) not in answer.text and desk.client.get(decided["plan"]).content == before
    data = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    if "x 48" not in words and "frames" not in words:  # of an upload only the job can tell
        handed_in = desk.hand_in(b"", kind="video", files={"clip": b"fine", "plan": data})
        assert handed_in.json()["code"] == "plan-invalid" and len(desk.folders) == 1


def test_a_style_of_one_track_cannot_name_a_file_either(planned, service):
    plan = service.client.get(planned["plan"]).json()
    plan["tracks"][0]["style"] = "picture"
    assert put(service, planned, plan).json()["code"] == "plan-invalid"


def test_a_plan_above_the_limit_is_refused(start):
    service = start(max_plan_bytes=2000)
    job = service.look(service.job(b"", kind="video-plan", files={"clip": b"fine"}), wait=30)
    assert put(service, job, b" " * 2001).json()["code"] == "upload-too-large"
    answer = service.hand_in(b"", kind="video", files={"clip": b"fine", "plan": b" " * 2001})
    assert answer.json()["code"] == "upload-too-large" and len(service.folders) == 1


def test_clips_may_be_larger_than_photos_and_no_photo_is_larger_under_that_name(start):
    service = start(max_upload_bytes=10_000, max_clip_bytes=50_000)
    big = b"fine " + bytes(40_000)
    assert service.hand_in(b"", kind="video", files={"clip": big}).status_code == 202
    for files in ({"file": big}, {"clip": big + big}, {"file": big, "clip": b"fine"}):
        answer = service.hand_in(b"", files=files)
        assert (answer.status_code, answer.json()["code"]) == (413, "upload-too-large")
    assert service.hand_in(big, path="/v1/photos").status_code == 413 and len(service.folders) == 1


@pytest.mark.parametrize("kind, files, fields", [
    ("video", {"file": b"fine"}, {}), ("video-plan", {"clip": b"fine", "plan": b"{}"}, {}),
    ("protect", {"clip": b"fine"}, {}), ("video", {"clip": b"fine"}, {"plan_of": "ID"}),
    ("video-plan", {"options": (None, "{}")}, {"plan_of": "ID"}),
    ("protect", {"options": (None, "{}")}, {"photo_of": "ID"}),
    ("video", {"options": (None, "{}")}, {"photo_of": "ID"}),
    ("video", {"clip": b"fine"}, {"options": '{"style": "picture"}'}),
    ("video", {"clip": b"fine"}, {"options": '{"regions": [{"x": 1, "y": 1, "width": 1, "height": 1, "from_s": -1}]}'}),
    ("video", {"clip": b"fine"}, {"options": '{"keep": [0]}'}),
    ("video", {"clip": b"fine"}, {"options": '{"mute": [{"from_s": 1e999, "to_s": 2}]}'})])
def test_what_does_not_go_together_is_refused_and_not_kept(desk, decided, kind, files, fields):
    named = {name: decided["id"] if value == "ID" else value for name, value in fields.items()}
    answer = desk.hand_in(b"", kind=kind, files=files, **named)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert len(desk.folders) == 1


def test_choices_for_another_clip_are_refused_at_once(service):
    answer = service.hand_in(b"", kind="video", files={"clip": b"fine"}, options=json.dumps({"sha256": "0" * 64}))
    assert (answer.status_code, answer.json()["code"]) == (422, "choices-invalid") and service.folders == []


def test_jobs_without_a_plan_say_so(service, planned):
    photo = service.look(service.job(), wait=30)
    clip = service.job(b"", kind="video", files={"clip": b"fine"}, wait=30)
    waiting = service.job(b"", kind="video-plan", files={"clip": b"sleep 60"})
    assert service.client.get(f"/v1/jobs/{photo['id']}/plan").json()["code"] == "no-result"
    assert put(service, clip, service.client.get(planned["plan"]).content).json()["code"] == "no-result"
    for answer in (service.client.get(f"/v1/jobs/{waiting['id']}/plan"), put(service, waiting, b"{}"),
                   service.hand_in(b"", kind="video", files={"options": (None, "{}")}, plan_of=waiting["id"])):
        assert answer.json()["code"] == "not-ready"
    for name in ("clip", "plan.json", "..%2Fclip", "track-2-1.jpg", "."):
        assert service.client.get(f"/v1/jobs/{planned['id']}/files/{name}").json()["code"] == "not-found"


def test_a_deleted_job_takes_its_faces_and_its_plan_with_it(service, planned):
    assert service.client.delete(f"/v1/jobs/{planned['id']}").status_code == 204
    for path in (planned["plan"], planned["tracks"][0]["pictures"][0]):
        assert service.client.get(path).json()["code"] == "gone"
    assert service.files == [] and put(service, planned, b"{}").json()["code"] == "gone"


def test_nobody_waits_with_a_photo_for_a_clip_and_clips_wait_for_each_other(service):
    slow = service.job(b"", kind="video-plan", files={"clip": b"sleep 60"})
    next_ = service.job(b"", kind="video", files={"clip": b"fine"})
    eventually(lambda: service.look(slow)["state"] == "running")
    assert service.look(service.job(), wait=20)["state"] == "done"
    assert service.look(next_)["place"] == 1
    service.client.delete(f"/v1/jobs/{slow['id']}")
    assert service.look(next_, wait=20)["state"] == "done"


def test_a_job_cancelled_in_the_middle_ends_what_it_started_and_leaves_no_file(service):
    job = service.job(b"", kind="video", files={"clip": b"child"})
    share = eventually(lambda: service.look(job)["progress"], 40)
    child = int(share["words"].split()[1])
    assert is_alive(child)
    service.client.delete(f"/v1/jobs/{job['id']}")
    eventually(lambda: not is_alive(child))
    assert eventually(lambda: not service.folders)


def test_a_worker_whose_service_was_killed_ends_what_it_started_too(tmp_path):
    (tmp_path / "clip").write_bytes(b"child")
    worker = subprocess.Popen([*STUB, "clips"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    most = {"max_pixels": 1, "max_clip_pixels": 1, "max_clip_s": 1}
    worker.stdin.write(json.dumps({"id": "1", "kind": "video", "folder": str(tmp_path), "options": {},
                                   "most": most}).encode() + b"\n")
    worker.stdin.flush()
    child = int(json.loads(worker.stdout.readline())["words"].split()[1])
    worker.stdin.close()  # what becomes of a pipe whose other end was killed
    assert worker.wait(20) == 0
    eventually(lambda: not is_alive(child))  # what is killed is gone a moment later
    worker.stdout.close()


def test_a_clip_that_fails_keeps_nothing(service):
    failed = service.job(b"", kind="video", files={"clip": b"noface"}, wait=30)
    assert failed["problem"]["code"] == "no-face"
    assert list((service.folder / "jobs" / failed["id"]).iterdir()) == []


def test_progress_is_told_as_one_share_with_speed_and_time_left():
    told, now = [], [0.0]
    pace = Pace(lambda share, words: told.append((round(share, 3), words)),
                {"looking": (0.0, 0.5), "writing": (0.5, 1.0)}, lambda: now[0])
    for seconds, stage, done, frames in ((0, "looking", 1, 100), (2, "looking", 41, 100), (3, "writing", 100, 100),
                                         (4, "looking", 7, None), (5, "recognising", 0, None)):
        now[0] = seconds
        pace.tell(stage, done, frames)
    assert told == [(0.005, "looking for faces: 1 of 100 frames"),
                    (0.205, "looking for faces: 41 of 100 frames, 20.5 a second, about 0:03 left of this step"),
                    (1.0, "covering faces: 100 of 100 frames"), (0.0, "looking for faces: 7 frames")]


def test_a_plan_for_more_frames_than_there_are_is_refused():
    with pytest.raises(Problem, match="9 frames"):
        checked(json.dumps({"schema": "facecloak-plan/1", "clip": "clip", "sha256": "0" * 64, "size": [64, 48],
                            "frames": 9, "cuts": [], "settings": {}, "versions": {}, "weights": {}, "areas": [],
                            "tracks": []}).encode(), sha256="0" * 64, size=(64, 48), frames=5)
