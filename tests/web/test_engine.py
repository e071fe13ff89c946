"""The service with the engine in it: what a client gets is what the engine makes, and what it refuses."""

from __future__ import annotations

import io
import json
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from web.settings import WORKER

from .conftest import running

# A worker that ends at once where it opens a connection; its job would fail.
NO_NETWORK = """
import os, sys
calls = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
sys.addaudithook(lambda event, arguments: os._exit(99) if event in calls else None)
from web.worker import main
main()
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    worker = (sys.executable, "-c", NO_NETWORK)
    assert WORKER == (sys.executable, "-m", "web.worker")
    with running(tmp_path_factory.mktemp("engine") / "service", worker=worker, max_pixels=2_000_000) as one:
        yield one


@pytest.fixture(scope="module")
def photo(portrait):
    """A portrait, half its size: (256, 256) PNG."""
    with Image.open(portrait) as image:
        data = io.BytesIO()
        image.convert("RGB").resize((256, 256)).save(data, "PNG")
    return data.getvalue()


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def done(service, photo, **more):
    job = service.job(photo, wait=60, **more)
    while job["state"] in ("queued", "running"):
        job = service.look(job, wait=60)
    return job


def test_who_is_found_can_be_covered_one_by_one_and_the_file_be_checked(service, photo):
    found = done(service, photo, kind="detect", name="march.png")
    assert found["state"] == "done" and found["size"] == [256, 256] and len(found["faces"]) == 1
    x1, y1, x2, y2 = (round(v) for v in found["faces"][0]["box"])
    numbered = service.client.get(found["result"])
    assert numbered.headers["content-type"] == "image/jpeg" and min(pixels(numbered.content).shape[:2]) >= 256

    wish = json.dumps({"default": "keep", "faces": {"1": "redact solid"}, "sha256": found["sha256"]})
    made = done(service, photo, name="../märz.png", options=wish)
    assert made["state"] == "done" and made["is_protected"] and made["problem"] is None
    report = made["report"]
    assert report["schema"] == "facecloak-report/2" and [f["status"] for f in report["faces"]] == ["redacted"]
    assert (report["input"], report["output"]) == ("märz.png", "märz.redacted.png")
    covered = service.client.get(made["result"])
    assert covered.headers["content-type"] == "image/png"
    before, after = pixels(photo), pixels(covered.content)
    assert np.ptp(after[y1:y2, x1:x2].reshape(-1, 3), axis=0).max() == 0  # one colour where the face was
    assert np.array_equal(before[-40:], after[-40:])  # and the lower part as it was

    judged = done(service, b"", kind="check", files={"file": ("p.png", covered.content), "original": ("o.png", photo)})
    assert judged["report"]["output"] == "p.png" and judged["report"]["input"] == "o.png"
    assert judged["report"]["faces"][0]["status"] in ("lost", "protected") and judged["result"] is None
    same = done(service, b"", kind="check", files={"file": ("p.png", photo), "original": ("o.png", photo)})
    assert same["report"]["faces"][0]["status"] == "matched" and not same["is_protected"]
    alone = done(service, photo, kind="check")
    assert alone["report"]["faces"][0]["status"] == "unjudged" and not alone["is_protected"]


def test_a_cloak_says_how_far_it_is_and_is_judged(service, photo):
    job = service.job(photo, options='{"default": "cloak light"}', name="a.png")
    shares = []
    while job["state"] in ("queued", "running"):
        job = service.look(job, wait=0.2)
        shares += [job["progress"]["share"]] if job["progress"] else []
    assert shares and shares == sorted(shares) and 0 <= shares[0] and shares[-1] <= 1
    assert job["report"]["output"] == "a.cloaked.png" and job["report"]["faces"][0]["verdicts"]
    assert job["is_protected"] == (job["report"]["faces"][0]["status"] == "protected")
    assert service.client.get(job["result"]).content != photo


def bomb():
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def as_file(format, **more):
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(data, format, **more)
    return data.getvalue()


@pytest.mark.parametrize("what, status, code", [
    ("bomb", 413, "photo-too-large"), ("empty", 422, "photo-unreadable"), ("text", 422, "photo-unreadable"),
    ("cut off", 422, "photo-unreadable"), ("gif", 415, "photo-unsupported"), ("nobody", 422, "no-face"),
    ("another face", 422, "choices-invalid"), ("another file", 422, "choices-invalid"),
    ("a region outside", 422, "choices-invalid")])
def test_what_the_engine_refuses_is_a_problem_without_a_path_and_keeps_nothing(service, photo, what, status, code):
    files = {"bomb": bomb(), "empty": b"", "text": b"hello " * 100, "cut off": photo[:-5000], "gif": as_file("GIF"),
             "nobody": as_file("JPEG")}
    wishes = {"another face": '{"faces": {"9": "keep"}}', "another file": json.dumps({"sha256": "0" * 64}),
              "a region outside": '{"regions": [{"x": 900, "y": 1, "width": 5, "height": 5}]}'}
    fields = {"options": wishes[what]} if what in wishes else {}
    answer = service.hand_in(files.get(what, photo), path="/v1/photos", name="anna.jpg", **fields)
    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), answer.text
    assert document["detail"].startswith("photo: ") and "/" not in document["detail"].replace("1/2", "")
    assert list((service.folder / "jobs" / answer.headers["location"].rpartition("/")[2]).iterdir()) == []


def test_a_region_is_covered_where_no_face_was_found(service):
    answer = service.hand_in(as_file("PNG"), path="/v1/photos",
                             options='{"regions": [{"x": 10, "y": 20, "width": 8, "height": 8}]}')
    assert answer.status_code == 200 and (pixels(answer.content)[24, 14] != 128).any()


def test_a_photo_without_faces_is_cleaned_where_the_client_asks_and_not_called_protected(service):
    cleaned = {"options": '{"no_face": "clean"}'}
    assert service.hand_in(as_file("PNG"), path="/v1/photos", **cleaned).json()["code"] == "not-protected"
    job = service.job(as_file("PNG"), wait=60, **cleaned)
    assert (job["state"], job["is_protected"], job["report"]["faces"]) == ("done", False, [])
    answer = service.client.get(job["result"])
    assert answer.status_code == 200 and (pixels(answer.content) == pixels(as_file("PNG"))).all()
