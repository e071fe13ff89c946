"""What clients send that they should not, and what is left of it: a problem document, and nothing on the disk."""

from __future__ import annotations

import errno
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web import uploads
from web.uploads import plain_name

from .conftest import eventually, running

BOUNDARY = "b" * 20


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One for all tests here: a service that a request could harm would fail the next."""
    with running(tmp_path_factory.mktemp("uploads") / "service") as one:
        yield one


@pytest.fixture(autouse=True)
def _nothing_of_the_test_before(service):
    for folder in service.folders:
        service.client.delete(f"/v1/jobs/{folder.name}")
    assert service.folders == []


def body(*parts, end=f"--{BOUNDARY}--\r\n"):
    """(name, filename or None, bytes) -> the bytes of a form."""
    text = b""
    for name, filename, data in parts:
        named = f'; filename="{filename}"' if filename is not None else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        text += head.encode() + data + b"\r\n"
    return text + end.encode()


def send(service, content, path="/v1/jobs", kind=f"multipart/form-data; boundary={BOUNDARY}"):
    return service.client.post(path, content=content, headers={"Content-Type": kind})


def is_problem(answer, status, code):
    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status and document["type"] == f"urn:facecloak:problem:{code}"
    assert document["title"] and document["detail"] and "Traceback" not in answer.text and ".py" not in answer.text
    return document


FINE = ("file", "a.jpg", b"fine")
KIND = ("kind", None, b"protect")


@pytest.mark.parametrize("content, code", [
    (b"", "invalid"), (b"\0" * 100, "invalid"), (body(), "invalid"), (body(KIND), "invalid"), (body(FINE), "invalid"),
    (body(FINE, KIND, end=""), "invalid"), (body(FINE, KIND)[:-30], "invalid"), (body(FINE, FINE, KIND), "invalid"),
    (body(FINE, ("kind", None, b"shred")), "invalid"), (body(FINE, KIND, ("surprise", None, b"")), "invalid"),
    (body(FINE, KIND, ("original", "b.jpg", b"x")), "invalid"), (body(FINE, KIND, KIND), "invalid"),
    (body(FINE, KIND, ("options", None, b"{")), "invalid"), (body(FINE, KIND, ("options", None, b"\xff")), "invalid"),
    (body(FINE, KIND, ("options", None, b'{"shred": 1}')), "invalid"),
    (body(FINE, KIND, ("options", None, b'{"default": "shred"}')), "invalid"),
    (body(FINE, KIND, ("options", None, b'{"faces": {"0": "keep"}}')), "invalid"),
    (body(FINE, KIND, ("options", None, b'{"faces": {"../1": "keep"}}')), "invalid"),
    (body(FINE, KIND, ("options", None, b'{"jpeg_quality": 10}')), "invalid"),
    (body(FINE, KIND, ("options", None, b'{"regions": [{"x": 1, "y": 1, "width": 0, "height": 5}]}')), "invalid"),
    (body(FINE, KIND, ("options", None, b" " * 300_000)), "invalid"),
    (body(FINE, KIND, ("options", None, b"[" * 100_000)), "invalid"),
    (body(FINE, KIND, ("keep_s", None, b"0")), "invalid"), (body(FINE, KIND, ("keep_s", None, b"1e9")), "invalid"),
    (body(FINE, KIND, ("keep_s", None, b"3601")), "invalid"),
    (body(*[(f"p{k}", None, b"") for k in range(40)]), "invalid"),
])
def test_what_is_not_a_request_is_refused_and_not_kept(service, content, code):
    document = is_problem(send(service, content), 422, code)
    assert document["detail"].endswith("Nothing was kept.")
    assert service.folders == []


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "image/jpeg",
                                  "multipart/mixed; boundary=b", ""])
def test_another_type_of_body_is_refused(service, kind):
    is_problem(send(service, b"x" * 1000, kind=kind), 415, "not-multipart")
    assert service.folders == []


def test_the_order_of_the_parts_means_nothing(service):
    assert send(service, body(KIND, FINE)).status_code == send(service, body(FINE, KIND)).status_code == 202


@pytest.mark.parametrize("size", [50_001, 5_000_000])
@pytest.mark.parametrize("is_announced", [True, False])
def test_what_is_too_large_is_refused_while_it_comes(start, size, is_announced):
    service = start(max_upload_bytes=50_000)
    content = body(KIND, ("file", "a.jpg", bytes(size)))
    answer = send(service, content if is_announced else (content[k : k + 4096] for k in range(0, len(content), 4096)))
    is_problem(answer, 413, "upload-too-large")
    assert service.folders == []
    assert send(service, body(KIND, ("file", "a.jpg", bytes(49_000)))).status_code == 202


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..\\..\\windows\\win.ini", "..", ".", "",
                                  "x" * 4000 + ".jpg", "a\0b.jpg", "\u202egpj.exe", "$(rm -rf).jpg", "-rf", "<b>.jpg"])
def test_a_name_is_never_a_path_of_ours(service, name):
    answer = send(service, body(("file", name, b"fine")), path="/v1/photos")
    assert answer.status_code == 200, answer.text
    disposition = answer.headers["content-disposition"]
    assert re.fullmatch(r"attachment; filename=\"[\w.-]{1,255}\"; filename\*=UTF-8''[\w.%~-]{1,700}", disposition)
    assert sorted(path.name for path in service.files) == ["photo", "photo.redacted.jpg"]
    assert all(len(path.relative_to(service.folder).parts) == 3 for path in service.files)


@given(st.binary(max_size=600))
def test_a_shown_name_has_no_folder_and_is_short_and_printable(raw):
    name = plain_name(raw)
    assert name is None or (name.isprintable() and 0 < len(name.encode()) <= 200 and not set(name) & {"/", "\\"}
                            and name.strip(". "))


def test_two_uploads_at_once_do_not_mix(service):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda k: service.job(bytes([k]) * 2_000_000, name=f"{k}.jpg"), (1, 2))
    for job, byte, name in ((first, 1, "1.jpg"), (second, 2, "2.jpg")):
        assert service.look(job, wait=20)["name"] == name
        assert set((service.folder / "jobs" / job["id"] / "photo").read_bytes()) == {byte}


def half_an_upload(service):
    """A connection on which half a photo was sent; it is on the disk."""
    host, port = service.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    start = body(KIND, ("file", "a.jpg", bytes(300_000)))[:-2000]
    head = (f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 900000\r\n\r\n")
    connection.sendall(head.encode() + start)
    eventually(lambda: service.files)
    return connection


def test_a_client_that_goes_in_the_middle_leaves_nothing(service, capfd):
    half_an_upload(service).close()
    eventually(lambda: not service.folders)
    eventually(lambda: "client-gone" in capfd.readouterr().err)
    assert service.hand_in().status_code == 202


def test_a_client_that_stops_sending_is_not_waited_for(start):
    service = start(upload_s=0.5)
    connection = half_an_upload(service)
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"upload-too-slow" in answer + connection.recv(65536)
    connection.close()
    assert service.folders == []


def test_uploads_beyond_the_limit_are_refused_and_then_taken_again(start):
    service = start(max_uploads=1)
    connection = half_an_upload(service)
    answer = service.hand_in()
    is_problem(answer, 429, "too-many-uploads")
    assert answer.headers["retry-after"]
    connection.close()
    eventually(lambda: service.hand_in().status_code == 202)


def test_a_full_disk_is_507_before_the_upload_and_nothing_is_left(start):
    service = start(min_free_bytes=2**60)
    is_problem(service.hand_in(), 507, "disk-full")
    assert service.folders == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_during_the_upload_is_507_and_nothing_is_left(service, monkeypatch, number):
    def full(path, flags):
        raise OSError(number, "full")

    monkeypatch.setattr(uploads, "_private", full)
    is_problem(service.hand_in(bytes(100_000)), 507, "disk-full")
    assert service.folders == []
    monkeypatch.undo()
    assert service.hand_in().status_code == 202


@pytest.mark.parametrize("method, path, status, code", [
    ("GET", "/", 404, "not-found"), ("GET", "/docs", 404, "not-found"), ("GET", "/v1/jobs/../../etc/passwd", 404, None),
    ("GET", "/v1/jobs/%2e%2e%2f%2e%2e", 404, "not-found"), ("GET", "/v1/jobs/x%00y", 404, "not-found"),
    ("PUT", "/v1/jobs", 405, "method-not-allowed"), ("GET", "/v1/jobs?limit=0", 422, "invalid"),
    ("GET", "/v1/jobs?limit=x", 422, "invalid"), ("GET", "/v1/jobs/x?wait=nan", 422, "invalid"),
    ("GET", "/v1/jobs/x?wait=61", 422, "invalid")])
def test_every_error_is_a_problem_document(service, method, path, status, code):
    is_problem(service.client.request(method, path), status, code or "not-found")


def test_an_error_of_ours_tells_the_client_nothing_of_it(service, monkeypatch, capfd):
    monkeypatch.setattr("web.documents.limits", lambda service: 1 / 0)
    document = is_problem(service.client.get("/v1/limits"), 500, "broken")
    assert "ZeroDivision" not in json.dumps(document)
    eventually(lambda: "ZeroDivisionError" in capfd.readouterr().err)


def test_answers_are_not_kept_by_anybody_on_the_way(service):
    for path in ("/healthz", "/v1/jobs", "/nowhere", "/v1/openapi.json"):
        headers = service.client.get(path).headers
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_the_openapi_document_names_nothing_elsewhere_and_has_examples(service):
    document = service.client.get("/v1/openapi.json").json()
    text = json.dumps(document)
    assert "http://" not in text.replace("http://127.0.0.1", "") and "https://" not in text
    assert {"Problem", "JobDocument", "ProtectOptions", "ReportDocument"} <= set(document["components"]["schemas"])
    assert document["components"]["schemas"]["JobDocument"]["examples"]
    assert "HTTPValidationError" not in text
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert path == "/healthz" or operation["security"], path
            for status, answer in operation["responses"].items():
                assert int(status) < 400 or answer["content"]["application/problem+json"]["examples"]
