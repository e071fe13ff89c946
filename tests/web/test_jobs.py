"""Jobs from upload to deletion, whatever happens on the way. Workers are real, with a stand-in for the engine."""

from __future__ import annotations

import itertools
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from cloak import SettingsInvalid
from web import tokens
from web.jobs import Service
from web.settings import ServiceSettings
from web.store import Store

from .conftest import STUB, eventually, log_lines


def test_a_photo_comes_back_with_its_own_name(service):
    answer = service.hand_in(name="märz 1.heic", path="/v1/photos")
    assert answer.status_code == 200 and answer.content == b"\xff\xd8 safe"
    assert answer.headers["content-type"] == "image/jpeg"
    assert "filename*=UTF-8''m%C3%A4rz%201.redacted.jpg" in answer.headers["content-disposition"]
    job = service.client.get(answer.headers["location"]).json()
    assert job["state"] == "done" and job["is_protected"] and job["name"] == "märz 1.heic"


def test_a_photo_with_a_face_that_is_not_protected_is_not_handed_out_in_passing(service):
    answer = service.hand_in(b"matched", path="/v1/photos")
    assert answer.status_code == 409 and answer.json()["code"] == "not-protected"
    job = answer.json()["job"]
    assert not job["is_protected"]
    assert service.client.get(job["result"]).content == b"\xff\xd8 safe"  # for whoever asks for it knowingly


def test_a_failed_job_says_why_and_keeps_no_photo(service):
    answer = service.hand_in(b"noface", path="/v1/photos")
    assert answer.status_code == 422 and answer.json()["code"] == "no-face"
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.files == []


def test_jobs_wait_in_the_order_they_came_and_say_where(service):
    first = service.job(b"sleep 1.5")
    second, third = service.job(), service.job()
    eventually(lambda: service.look(first)["state"] == "running")
    assert [service.look(job)["place"] for job in (first, second, third)] == [None, 1, 2]
    share = eventually(lambda: service.look(first)["progress"])
    assert 0 <= share["share"] < 1 and share["words"].startswith("step ")
    done = [service.look(job, wait=20) for job in (first, second, third)]
    assert [job["state"] for job in done] == ["done"] * 3
    assert done[0]["finished"] <= done[1]["finished"] <= done[2]["finished"]


def test_a_killed_worker_fails_its_job_visibly_and_the_next_goes_on(service):
    killed, after = service.job(b"die"), service.job()
    killed = service.look(killed, wait=20)
    assert killed["state"] == "failed" and killed["problem"]["code"] == "worker-killed"
    assert service.look(after, wait=20)["state"] == "done"


def test_a_defect_of_ours_fails_the_job_and_tells_nobody_what_was_in_the_photo(service, capfd):
    job = service.look(service.job(b"bug"), wait=20)
    assert job["problem"]["code"] == "broken" and "Anna" not in str(job)
    logged = capfd.readouterr().err
    assert re.search(r'KeyError [^"]*stub_worker.py:', logged) and "Anna" not in logged


def test_a_disk_that_fills_up_in_the_middle_of_the_work_is_507_and_leaves_nothing(service):
    answer = service.hand_in(b"full", path="/v1/photos")
    assert answer.status_code == 507 and answer.json()["code"] == "disk-full"
    assert service.files == []


def test_a_job_that_takes_too_long_is_stopped(start):
    service = start(job_s=3)
    service.look(service.job(), wait=20)  # the worker is up
    job = service.look(service.job(b"sleep 60"), wait=20)
    assert job["problem"]["code"] == "took-too-long" and service.look(service.job(), wait=20)["state"] == "done"
    assert len(service.files) == 4  # those of the two that were done


def test_a_job_deleted_in_the_middle_stops_and_is_gone(service):
    job, after = service.job(b"sleep 60"), service.job()
    eventually(lambda: service.look(job)["state"] == "running")
    assert service.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert service.look(after, wait=20)["state"] == "done"
    for path in ("", "/result"):
        assert service.client.get(f"/v1/jobs/{job['id']}{path}").json()["code"] == "gone"
    assert service.client.delete(f"/v1/jobs/{job['id']}").status_code == 204  # again is no error
    assert [path.name for path in service.folders] == [after["id"]]
    assert [one["id"] for one in service.client.get("/v1/jobs").json()["jobs"]] == [after["id"]]


def test_at_the_deadline_everything_goes_whatever_the_state(service):
    done = service.job(keep_s="6")
    service.look(done, wait=20)
    running, queued = service.job(b"sleep 60", keep_s="3"), service.job(keep_s="3")
    assert len(service.folders) == 3
    eventually(lambda: not service.folders)
    for job in (done, running, queued):
        answer = service.client.get(f"/v1/jobs/{job['id']}")
        assert answer.status_code == 410 and "deadline" in answer.json()["detail"]
    assert service.look(service.job(), wait=20)["state"] == "done"


def test_nothing_of_a_deleted_report_stays_in_the_store(service):
    job = service.job(options='{"faces": {"77": "keep"}}')
    service.look(job, wait=20)
    store = Store(service.folder)
    kept = store.get(job["id"])
    assert kept.options["faces"] == {"77": "keep"} and kept.outcome
    service.client.delete(f"/v1/jobs/{job['id']}")
    kept = store.get(job["id"])
    store.close()
    assert kept.options == {} and kept.outcome is None and kept.state == "cancelled"
    assert all(b'"77"' not in path.read_bytes() for path in service.folder.glob("service.sqlite*"))


def test_another_token_sees_nothing(service):
    job = service.look(service.job(), wait=20)
    other = {"Authorization": f"Bearer {service.new_token()}"}
    unknown = service.client.get("/v1/jobs/" + "0" * 32, headers=other)
    for method, path in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
        answer = service.client.request(method, f"/v1/jobs/{job['id']}{path}", headers=other)
        assert (answer.status_code, answer.json()) == (404, unknown.json())
    assert service.client.get("/v1/jobs", headers=other).json() == {"jobs": []}
    assert service.look(job)["state"] == "done"


def test_without_a_valid_token_nothing_is_answered_nor_kept(service):
    wrong = ("x", "fcl_", "fcl_000000000000_" + "0" * 64, "' OR 1=1 --", "ü", service.token[:-1] + "x",
             service.token + "0")
    asked = (("GET", "/v1/jobs"), ("GET", "/v1/limits"), ("DELETE", "/v1/jobs/1"), ("POST", "/v1/photos"))
    for token, (method, path) in itertools.product(wrong, asked):
        headers = {b"Authorization": b"Bearer " + token.encode()}
        answer = service.client.request(method, path, headers=headers,
                                        files={"file": b"x"} if method == "POST" else None)
        assert answer.status_code == 401 and answer.json()["code"] == "unauthorised"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert service.folders == []


def test_a_revoked_token_opens_nothing_from_then_on_and_none_is_in_the_store(service):
    assert service.client.get("/v1/limits").status_code == 200
    store = Store(service.folder)
    (kept,) = tokens.listed(store)
    tokens.revoke(store, kept.id)
    with pytest.raises(SettingsInvalid, match="Nothing was changed"):
        tokens.revoke(store, kept.id)
    assert service.client.get("/v1/limits").status_code == 401
    secret = service.token.split("_")[2]
    for path in service.folder.glob("service.sqlite*"):
        assert secret.encode() not in path.read_bytes()


def test_the_same_key_with_the_same_request_is_the_same_job(service):
    one = service.job(b"fine", key="k-1", options='{"default": "cloak light"}')
    again = service.job(b"fine", key="k-1", options='{ "default":"cloak light" }')
    assert again["id"] == one["id"]
    for changed in ({"photo": b"other"}, {"options": '{"default": "keep"}'}):
        answer = service.hand_in(**{"photo": b"fine", "options": '{"default": "cloak light"}', "key": "k-1", **changed})
        assert answer.status_code == 422 and answer.json()["code"] == "key-reused"
    assert service.job(b"fine", key="k-1", token=service.new_token())["id"] != one["id"]  # keys are each owner's own
    assert len(service.folders) == 2


def test_a_key_used_at_the_same_time_makes_one_job(service):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.hand_in(b"fine", key="twice"), range(8)))
    assert len({answer.json()["id"] for answer in answers}) == 1 and len(service.folders) == 1


def test_a_photo_need_not_be_sent_twice(service):
    first = service.look(service.job(b"the photo", kind="detect", name="märz.jpg"), wait=20)

    def again(id, **headers):
        return service.client.post("/v1/jobs", data={"kind": "protect", "photo_of": id}, headers=headers,
                                   files={"options": (None, "{}")}).json()

    second = again(first["id"])
    service.client.delete(f"/v1/jobs/{first['id']}")
    assert service.look(second, wait=20)["state"] == "done" and second["name"] == "märz.jpg"
    assert (service.folder / "jobs" / second["id"] / "photo").read_bytes() == b"the photo"
    assert again(first["id"])["code"] == "gone"
    assert again(second["id"], Authorization=f"Bearer {service.new_token()}")["code"] == "not-found"
    assert again("../" + second["id"])["code"] == "not-found"
    assert service.hand_in(photo_of=second["id"]).json()["code"] == "invalid"
    assert [path.name for path in service.folders] == [second["id"]]


def test_too_many_jobs_are_refused_with_a_time_to_come_back(start):
    service = start(max_jobs_per_token=2)
    jobs = [service.job(b"sleep 30") for _ in range(2)]
    answer = service.hand_in()
    assert answer.status_code == 429 and answer.json()["code"] == "too-many-jobs" and answer.headers["retry-after"]
    assert len(service.folders) == 2
    service.client.delete(f"/v1/jobs/{jobs[0]['id']}")
    assert service.hand_in().status_code == 202


def test_what_is_on_the_disk_is_private_and_carries_no_name(service):
    job = service.look(service.job(name="anna-smith.jpg"), wait=20)
    assert job["name"] == "anna-smith.jpg"
    for path in service.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name.startswith("lock"), path
        assert "anna" not in path.name
        assert path.is_dir() or b"anna" not in path.read_bytes()


def test_a_second_service_on_the_same_folder_is_refused(service):
    with pytest.raises(SettingsInvalid, match="another service is running"):
        Service(ServiceSettings(folder=service.folder))


def test_what_a_crash_left_is_cleaned_up_at_the_start(tmp_path, start):
    stray = tmp_path / "service" / "jobs" / ("f" * 32)
    stray.mkdir(parents=True)
    (stray / "photo").write_bytes(b"half an upload")
    assert start().folders == []


# --- kill -9 of the whole service ---------------------------------------------------------------------------------

SERVE = """
import sys
from pathlib import Path
from web.serving import serve
from web.settings import ServiceSettings
serve(ServiceSettings(folder=Path(sys.argv[1]), port=int(sys.argv[2]), worker=tuple(sys.argv[3:]), min_free_bytes=0))
"""


def _serve(folder, port):
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(folder), str(port), *STUB], stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"

    def answers():
        assert process.poll() is None, process.stderr.read()
        try:
            return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    eventually(answers, 60)
    return process, url


def _free_port():
    import socket
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_jobs_survive_kill_9_and_one_that_kills_twice_fails(tmp_path):
    folder, port = tmp_path / "service", _free_port()
    store = Store(folder)
    token = tokens.create(store, "test")[1]
    store.close()
    headers = {"Authorization": f"Bearer {token}"}

    def hand_in(photo):
        return httpx.post(f"{url}/v1/jobs", data={"kind": "protect"}, files={"file": ("m.jpg", photo)}, headers=headers,
                          trust_env=False).json()

    def look(job, wait=0):
        return httpx.get(f"{url}/v1/jobs/{job['id']}", params={"wait": wait}, headers=headers, timeout=90,
                         trust_env=False).json()

    process, url = _serve(folder, port)
    try:
        done = look(hand_in(b"fine"), wait=30)
        slow, waiting = hand_in(b"sleep 60"), hand_in(b"fine")
        for _ in range(2):
            eventually(lambda: look(slow)["state"] == "running")
            (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            process.send_signal(signal.SIGKILL)
            process.wait()
            eventually(lambda pid=worker: not _is_alive(int(pid)))  # no orphan goes on with the photo
            assert (folder / "jobs" / slow["id"]).is_dir()
            process, url = _serve(folder, port)
        assert look(slow, wait=30)["problem"]["code"] == "interrupted"
        assert look(waiting, wait=30)["state"] == "done"
        assert look(done)["state"] == "done" and look(done)["name"] is None  # names are nowhere on the disk
        result = httpx.get(f"{url}/v1/jobs/{done['id']}/result", headers=headers, trust_env=False)
        assert result.content == b"\xff\xd8 safe"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) is not None


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


# --- many at once -------------------------------------------------------------------------------------------------


def test_fifty_uploads_at_once_are_all_taken_and_nothing_is_left_after_the_deadline(start):
    """The same with the engine and real photos: scripts/service_load.py."""
    service = start(workers=2)
    photo = b"fine " + os.urandom(300_000)
    threads = threading.active_count()
    with ThreadPoolExecutor(50) as pool:
        jobs = list(pool.map(lambda k: service.job(photo, name=f"{k}.jpg", keep_s="18"), range(50)))
    assert len({job["id"] for job in jobs}) == 50
    assert all(job["state"] != "queued" or job["place"] >= 1 for job in jobs)
    done = [service.look(job, wait=30) for job in jobs]
    assert {job["state"] for job in done} == {"done"} and [job["name"] for job in done] == [
        f"{k}.jpg" for k in range(50)]
    eventually(lambda: not service.folders, 40)
    assert threading.active_count() <= threads + 2


def test_what_is_logged_says_what_happened_and_not_to_whom(service, capfd):
    service.look(service.job(name="anna-smith.jpg", options='{"default": "cloak light"}'), wait=20)
    service.client.get("/v1/jobs/anna-smith?wait=anna-smith")
    service.client.get("/anna-smith")
    service.client.get("/healthz")  # by now the lines of the others are out
    text = capfd.readouterr().err
    lines = log_lines(text)
    assert {"job", "request"} == {line["event"] for line in lines}
    assert [line["state"] for line in lines if line["event"] == "job"] == ["queued", "running", "done"]
    assert {line.get("route") for line in lines if line["event"] == "request"} >= {"/v1/jobs", "/v1/jobs/{job_id}"}
    for secret in ("anna", "light", service.token, "127.0.0.1"):
        assert secret not in text
