"""Fetching over loopback from a real server that misbehaves in every way a test could think of."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
import socket
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cloak import fetching, store, weights
from cloak.errors import FetchFailed, ModelRefused, SettingsInvalid, WeightsCorrupt, WeightsMissing

DATA = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()

Answer = Callable[["Handler", bytes], None]


def whole(handler: Handler, data: bytes, *, tag: str = '"v1"') -> None:
    """Like a good file server: ranges where If-Range agrees, 416 where there is nothing left."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    first = int(asked[1]) if asked and handler.headers.get("If-Range") == tag else 0
    if first and first >= len(data):
        handler.begin(416, {"Content-Range": f"bytes */{len(data)}"})
        return
    extra = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if first else {}
    handler.begin(206 if first else 200, {"Content-Length": len(data) - first, "ETag": tag, **extra})
    handler.wfile.write(data[first:])


def cut(handler: Handler, data: bytes, *, after: int = 100_000, tag: str = '"v1"') -> None:
    handler.begin(200, {"Content-Length": len(data), "ETag": tag})
    handler.wfile.write(data[:after])


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's `answers` say, one after another, the last one again and again."""

    server: Server

    def begin(self, status: int, headers: dict[str, object]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.seen.append((self.path, dict(self.headers.items())))
            answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        answer(self, self.server.data)

    def log_message(self, *words: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.answers, self.lock = DATA, [whole], threading.Lock()
        self.seen: list[tuple[str, dict[str, str]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch):
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("FACECLOAK_MIRROR", made.address)
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def registry(monkeypatch, models):
    """Three made-up files: `plain`, `paid` for non-commercial use only, `unpinned` without a sha256."""
    common = {"role": "surrogate", "loads_as": "onnx", "licence": "MIT", "source": "a test", "training_data": "noise"}
    made = {entry.name: entry for entry in (
        weights.Weights(name="plain", download="https://example.org/a/plain.pt", size=len(DATA), sha256=SHA256,
                        cautions=("Look out.",), **common),
        weights.Weights(name="paid", download="https://example.org/a/paid.pt", limit=400_000, sha256=SHA256,
                        non_commercial=True, **{**common, "licence": "CC-BY-NC-4.0"}),
        weights.Weights(name="unpinned", download="https://example.org/a/free.pt", limit=400_000, **common),
    )}
    table = {**weights.registry(), **made}
    monkeypatch.setattr(weights, "registry", lambda: table)
    return table


@pytest.fixture
def get(models, registry):
    """Fetches, and remembers what was said."""
    def fetch(name: str = "plain", **options):
        fetch.said = []
        return fetching.fetch(name, say=fetch.said.append, **options)
    return fetch


def held(models) -> list[str]:
    """What the store holds but for locks."""
    return sorted(str(path.relative_to(models)) for path in models.rglob("*")
                  if path.is_file() and path.suffix != ".lock")


NOTHING: list[str] = []
INSTALLED = ["plain/model.toml", "plain/plain.pt"]
KEPT = [".parts/plain.json", ".parts/plain.part"]


# --- a good server -----------------------------------------------------------------------------------------------


def test_a_fetched_file_is_installed_verified_and_described(get, server, models):
    steps = []
    model = get(progress=lambda done, total: steps.append((done, total)))
    assert model.path.read_bytes() == DATA and weights.locate("plain") == model.path == models / "plain" / "plain.pt"
    assert (model.licence, model.cautions, model.origin, model.sha256) == ("MIT", ("Look out.",), "fetched", SHA256)
    assert held(models) == INSTALLED and store.installed() == (model,)
    assert steps[-1] == (len(DATA), len(DATA)) and steps == sorted(steps)


def test_licence_caution_and_host_are_said_before_the_connection(get, server):
    order = []
    server.answers = [lambda handler, data: (order.append("asked"), whole(handler, data))]
    fetching.fetch("plain", say=order.append)
    assert order[:3] == ["plain: Licence: MIT. Caution: Look out.",
                         f"connecting to 127.0.0.1: {server.address}/plain.pt", "asked"]


def test_nothing_but_the_request_is_sent(get, server):
    get()
    ((path, headers),) = server.seen
    assert path == "/plain.pt"
    assert {name.lower() for name in headers} <= {"host", "user-agent", "accept-encoding", "connection"}
    assert headers["User-Agent"] == "Python-urllib"


def test_what_is_installed_and_whole_is_not_fetched_again(get, server):
    first = get()
    assert get() == first and len(server.seen) == 1 and "already installed" in get.said[0]


def test_what_is_installed_and_damaged_is_fetched_again(get, server, models):
    get().path.write_bytes(b"damaged")
    assert get().path.read_bytes() == DATA and len(server.seen) == 2 and held(models) == INSTALLED


def test_a_model_that_a_user_added_is_not_replaced(get, server, registry, tmp_path):
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(b"mine")
    size, sha256 = store.measure(mine)
    store.add(store.Model("plain", "surrogate", "onnx", mine, size, sha256, "MIT", "me", "added"))
    with pytest.raises(ModelRefused, match="that you added"):
        get()
    assert server.seen == [] and store.describe("plain").verify().read_bytes() == b"mine"


# --- consent -----------------------------------------------------------------------------------------------------


def test_a_non_commercial_licence_is_accepted_before_any_connection(get, server, models):
    with pytest.raises(ModelRefused, match="CC-BY-NC-4.0.*--accept-licence"):
        get("paid")
    assert server.seen == [] and not models.exists()
    assert get("paid", accept_licence=True).non_commercial


def test_a_file_without_a_published_hash_is_accepted_before_any_connection(get, server, models):
    with pytest.raises(ModelRefused, match="no sha256 of this file is known.*--accept-hash"):
        get("unpinned", accept_licence=True)
    assert server.seen == [] and not models.exists()
    model = get("unpinned", accept_hash=True)
    assert model.hash_accepted and model.sha256 == SHA256 and SHA256 in get.said[-1]
    model.path.write_bytes(OTHER)  # from then on nothing else is accepted
    with pytest.raises(WeightsCorrupt):
        weights.locate("unpinned")
    server.data = OTHER
    with pytest.raises(ModelRefused, match="cloak models remove unpinned"):
        get("unpinned", accept_hash=True)
    assert len(server.seen) == 1


def test_accepting_a_hash_does_not_loosen_one_that_is_known(get, server, models):
    server.data = OTHER
    with pytest.raises(WeightsCorrupt):
        get(accept_hash=True)
    assert held(models) == NOTHING


@pytest.mark.parametrize("name, error", [("nobody", SettingsInvalid), ("dlib_resnet29", ModelRefused),
                                         ("mobilefacenet_onnx", ModelRefused), ("../x", SettingsInvalid)])
def test_what_cannot_be_fetched_is_refused_without_a_connection(get, server, models, name, error):
    with pytest.raises(error):
        get(name)
    assert server.seen == [] and not models.exists()


# --- a bad server ------------------------------------------------------------------------------------------------


def test_another_file_is_deleted(get, server, models):
    server.data = OTHER
    with pytest.raises(WeightsCorrupt, match="What arrived was deleted") as error:
        get()
    assert hashlib.sha256(OTHER).hexdigest() in str(error.value) and SHA256 in str(error.value)
    assert held(models) == NOTHING
    server.data = DATA
    assert get().verify()


def answer(status: int, headers: dict[str, object] | None = None, body: bytes = b"") -> Answer:
    def made(handler: Handler, data: bytes) -> None:
        handler.begin(status, {"Content-Length": len(body), **(headers or {})})
        handler.wfile.write(body)
    return made


def endless(handler: Handler, data: bytes) -> None:
    handler.begin(200, {"ETag": '"v1"'})
    try:
        for _ in range(10_000):
            handler.wfile.write(data)
    except OSError:  # the other side has had enough
        pass


def garbage(handler: Handler, data: bytes) -> None:
    handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")


REFUSED = {
    "404": (answer(404), "answered 404"),
    "500 with a body": (answer(500, body=b"x" * 1000), "answered 500"),
    "204": (answer(204), "answered 204"),
    "206 unasked": (answer(206, {"Content-Range": "bytes 5-9/10"}, b"hello"), "answered 206"),
    "416 unasked": (answer(416), "answered 416"),
    "too long": (answer(200, {"Content-Length": 10**12}), "bytes, plain has 300000"),
    "too short": (answer(200, body=b"short"), "5 bytes, plain has 300000"),
    "endless": (endless, "more arrives than the 300000 bytes"),
    "packed": (answer(200, {"Content-Encoding": "gzip"}, DATA), "sends it packed"),
    "no HTTP": (garbage, "no connection"),
    "login page by redirect to a file": (answer(302, {"Location": "file:///etc/passwd"}), "302"),
    "redirect in the clear": (answer(302, {"Location": "http://example.org/plain.pt"}), "only https"),
    "redirect to FTP": (answer(302, {"Location": "ftp://example.org/plain.pt"}), "only https"),
    "redirect with a password": (answer(302, {"Location": "https://me:secret@example.org/"}), "user name"),
    "redirect to what is no address": (answer(302, {"Location": "https://[::1"}), "no connection"),
    "redirect to nowhere": (answer(302), "302"),
    "redirect in a circle": (answer(302, {"Location": "/plain.pt"}), "30[0-9]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_server_that_does_not_hold_the_file_leaves_nothing_behind(get, server, models, kind):
    bad, words = REFUSED[kind]
    server.answers = [bad]
    with pytest.raises(FetchFailed, match=words) as error:
        get()
    assert "othing was installed" in str(error.value) and "secret" not in str(error.value)
    assert held(models) == NOTHING and len(server.seen) < 20


def test_a_redirect_that_stays_is_followed_and_said(get, server):
    server.answers = [answer(308, {"Location": "/elsewhere?key=hidden"}), whole]
    assert get().verify()
    assert [path for path, _ in server.seen] == ["/plain.pt", "/elsewhere?key=hidden"]
    assert get.said[-1] == f"connecting to 127.0.0.1: {server.address}/elsewhere"


def test_a_redirect_from_elsewhere_to_this_machine_is_refused(get):
    redirects = fetching._Redirects(lambda line: None)
    request = urllib.request.Request("https://example.org/plain.pt")
    with pytest.raises(FetchFailed, match="leads to this machine"):
        redirects.redirect_request(request, None, 302, "", None, "http://127.0.0.1:631/")  # type: ignore[arg-type]


def test_a_host_that_does_not_answer_is_one_clear_error(get, monkeypatch, models):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("FACECLOAK_MIRROR", f"http://127.0.0.1:{port}")
    with pytest.raises(FetchFailed, match="no connection .*refused"):
        get()
    assert held(models) == NOTHING


def test_a_host_that_falls_silent_is_given_up(get, server, monkeypatch, models):
    monkeypatch.setattr(fetching, "_TIMEOUT_S", 0.2)
    done = threading.Event()

    def silent(handler: Handler, data: bytes) -> None:
        handler.begin(200, {"Content-Length": len(data), "ETag": '"v1"'})
        handler.wfile.write(data[:1000])
        handler.wfile.flush()
        done.wait(20)

    server.answers = [silent]
    with pytest.raises(FetchFailed, match="cut after 1000 of 300000"):
        get()
    done.set()
    assert held(models) == KEPT


# --- continuing --------------------------------------------------------------------------------------------------


def test_a_cut_download_is_continued_where_it_ended(get, server, models):
    server.answers = [cut, whole]
    with pytest.raises(FetchFailed, match="cut after 100000 of 300000 bytes.*Fetch again"):
        get()
    assert held(models) == KEPT
    steps = []
    assert get(progress=lambda done, total: steps.append((done, total))).path.read_bytes() == DATA
    _, headers = server.seen[1]
    assert (headers["Range"], headers["If-Range"]) == ("bytes=100000-", '"v1"')
    assert min(steps)[0] > 100_000 and held(models) == INSTALLED


def test_a_cut_in_the_middle_of_a_chunk_is_a_cut(get, server, models):
    def chunked(handler: Handler, data: bytes) -> None:
        handler.begin(200, {"Transfer-Encoding": "chunked", "ETag": '"v1"'})
        handler.wfile.write(b"%x\r\n%b\r\n" % (1000, data[:1000]) + b"%x\r\n%b" % (1000, data[1000:1500]))

    server.answers = [chunked, whole]
    with pytest.raises(FetchFailed, match="cut after 1[0-9]{3} of unknown bytes"):
        get()
    assert get().path.read_bytes() == DATA and server.seen[1][1]["Range"].startswith("bytes=1")


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(get, server, models):
    server.answers = [lambda handler, data: cut(handler, OTHER, tag='"v0"'), whole]  # answers 200, not 206
    with pytest.raises(FetchFailed):
        get()
    assert get().path.read_bytes() == DATA and held(models) == INSTALLED


WRONG_RANGES = {
    "416": answer(416, {"Content-Range": "bytes */100"}),
    "other beginning": answer(206, {"Content-Range": "bytes 0-299999/300000"}, DATA),
    "not to the end": answer(206, {"Content-Range": "bytes 100000-100004/300000"}, DATA[100_000:100_005]),
    "unknown length": answer(206, {"Content-Range": "bytes 100000-299999/*"}, DATA[100_000:]),
    "none": answer(206, {}, DATA[100_000:]),
    "nonsense": answer(206, {"Content-Range": "pages 3-4"}, b""),
}


@pytest.mark.parametrize("kind", WRONG_RANGES)
def test_an_answer_that_does_not_continue_the_part_begins_it_again(get, server, models, kind):
    server.answers = [cut, WRONG_RANGES[kind], whole]
    with pytest.raises(FetchFailed):
        get()
    assert get().path.read_bytes() == DATA and held(models) == INSTALLED
    assert ["Range" in headers for _, headers in server.seen] == [False, True, False]


def test_a_part_that_is_already_whole_needs_no_connection(get, server, models):
    server.answers = [cut]
    with pytest.raises(FetchFailed):
        get()
    (models / ".parts" / "plain.part").write_bytes(DATA)
    assert get().path.read_bytes() == DATA and len(server.seen) == 1 and held(models) == INSTALLED


@pytest.mark.parametrize("notes", ["", "[]", "{}", '{"address": 1, "validator": "x"}', None])
def test_a_part_without_its_notes_is_begun_again(get, server, models, notes):
    server.answers = [cut, whole]
    with pytest.raises(FetchFailed):
        get()
    path = models / ".parts" / "plain.json"
    path.unlink() if notes is None else path.write_text(notes)
    assert get().path.read_bytes() == DATA and "Range" not in server.seen[1][1]


def test_a_part_from_another_address_is_begun_again(get, server, models, monkeypatch):
    server.answers = [cut, whole]
    with pytest.raises(FetchFailed):
        get()
    monkeypatch.setenv("FACECLOAK_MIRROR", f"{server.address}/mirror/")
    assert get().path.read_bytes() == DATA
    assert server.seen[1][0] == "/mirror/plain.pt" and "Range" not in server.seen[1][1]


def test_a_weak_tag_is_not_used_to_continue(get, server):
    server.answers = [lambda handler, data: cut(handler, data, tag='W/"v1"'), whole]
    with pytest.raises(FetchFailed):
        get()
    assert get().verify() and "Range" not in server.seen[1][1]


def test_a_date_continues_only_what_a_hash_will_judge(get, server):
    date = "Mon, 02 Jan 2023 03:04:05 GMT"

    def dated(handler: Handler, data: bytes) -> None:
        handler.begin(200, {"Content-Length": len(data), "Last-Modified": date})
        handler.wfile.write(data[:5000])

    for name, continues in (("plain", True), ("unpinned", False)):
        server.answers = [dated, lambda handler, data: whole(handler, data, tag=date)]
        server.seen.clear()
        with pytest.raises(FetchFailed):
            get(name, accept_hash=True)
        assert get(name, accept_hash=True).path.read_bytes() == DATA
        assert (server.seen[1][1].get("If-Range") == date) is continues


def test_without_a_hash_a_file_of_unstated_length_is_refused(get, server, models):
    """A cut one would look whole."""
    server.answers = [lambda handler, data: (handler.begin(200, {}), handler.wfile.write(data))]
    with pytest.raises(FetchFailed, match="does not say how long"):
        get("unpinned", accept_hash=True)
    assert held(models) == NOTHING
    assert get("plain").verify()  # its hash says that it is whole


# --- at the same time --------------------------------------------------------------------------------------------


def test_two_fetches_of_one_file_do_not_write_into_each_other(get, server, models):
    halfway, go_on = threading.Event(), threading.Event()

    def slowly(handler: Handler, data: bytes) -> None:
        handler.begin(200, {"Content-Length": len(data), "ETag": '"v1"'})
        handler.wfile.write(data[:1000])
        handler.wfile.flush()
        halfway.set()
        go_on.wait(20)
        handler.wfile.write(data[1000:])

    server.answers = [slowly]
    ends: list[object] = []
    first = threading.Thread(target=lambda: ends.append(fetching.fetch("plain", say=lambda line: None)))
    first.start()
    assert halfway.wait(20)
    try:
        with pytest.raises(ModelRefused, match="fetched by another cloak"):
            get()
    finally:
        go_on.set()
        first.join()
    (model,) = ends
    assert model.path.read_bytes() == DATA and held(models) == INSTALLED and len(server.seen) == 1


# --- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirror", ["http://mirror.example.org", "ftp://mirror.example.org", "file:///srv", "mirror",
                                    "//x", "https://me:secret@mirror.example.org", "https://me@example.org", "https://",
                                    "http://127.0.0.1.example.org", "http://[::1", "https://a b", "http://127.0.0.1:99999"])
def test_a_mirror_that_is_no_safe_address_is_refused(get, monkeypatch, models, mirror):
    monkeypatch.setenv("FACECLOAK_MIRROR", mirror)
    with pytest.raises(SettingsInvalid, match="FACECLOAK_MIRROR.*Nothing was connected to") as error:
        get()
    assert "secret" not in str(error.value) and held(models) == NOTHING


@pytest.mark.parametrize("address", ["https://example.org/x", "http://127.0.0.1:1/x", "http://[::1]:80/",
                                     "http://localhost/"])
def test_https_and_this_machine_are_connected_to(address):
    assert fetching._refusal(address) is None


def test_a_proxy_is_used_and_named_without_its_password(monkeypatch, server):
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example.org:3128")
    said = []
    fetching._announce("https://example.org/x?signature=hidden", said.append)
    assert said == ["connecting to example.org through the proxy proxy.example.org:3128: https://example.org/x"]
    assert fetching._proxy("127.0.0.1") is None


@pytest.mark.parametrize("name", ["https_proxy", "all_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_not_gone_around(monkeypatch, get, registry, server, name):
    monkeypatch.delenv("FACECLOAK_MIRROR")
    monkeypatch.setenv(name, "socks5h://127.0.0.1:9050")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **more: pytest.fail("a name was looked up"))
    with pytest.raises(FetchFailed, match="might show who you are"):
        get()


def test_a_connection_through_a_proxy_goes_to_the_proxy_alone(monkeypatch, get, server):
    """Our server plays the proxy: it is asked to connect to the real host, and refuses."""
    asked = []
    monkeypatch.setattr(Handler, "do_CONNECT", lambda handler: (asked.append(handler.path), handler.send_error(403)),
                        raising=False)
    monkeypatch.delenv("FACECLOAK_MIRROR")
    monkeypatch.setenv("https_proxy", server.address)
    with pytest.raises(FetchFailed, match="no connection"):
        get()
    assert asked == ["example.org:443"]


# --- without a connection ----------------------------------------------------------------------------------------


@pytest.fixture
def no_connection(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *words: pytest.fail("a connection was opened"))
    monkeypatch.setattr(fetching, "_open", lambda *words: pytest.fail("a connection was opened"))


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_file_from_a_stick_is_installed_without_a_connection(get, no_connection, models, tmp_path, as_folder):
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "plain.pt").write_bytes(DATA)
    assert get(source=stick if as_folder else stick / "plain.pt").verify().read_bytes() == DATA
    assert held(models) == INSTALLED and (stick / "plain.pt").exists()


def test_another_file_from_a_stick_is_refused_and_left_where_it_is(get, no_connection, models, tmp_path):
    path = tmp_path / "plain.pt"
    path.write_bytes(OTHER)
    with pytest.raises(WeightsCorrupt, match="nothing was installed"):
        get(source=path)
    with pytest.raises(WeightsMissing, match="plain is the file plain.pt from https://example.org"):
        get(source=models.parent / "nowhere")
    with pytest.raises(ModelRefused, match="--accept-licence"):
        get("paid", source=path)
    assert held(models) == NOTHING and path.read_bytes() == OTHER


def test_an_unpinned_file_from_a_stick_needs_to_be_accepted_too(get, no_connection, models, tmp_path):
    path = tmp_path / "free.pt"
    path.write_bytes(DATA)
    with pytest.raises(ModelRefused, match="--accept-hash"):
        get("unpinned", source=path)
    path.write_bytes(DATA * 2)
    with pytest.raises(WeightsCorrupt, match="at most 400000"):
        get("unpinned", source=path, accept_hash=True)
    path.write_bytes(DATA)
    assert get("unpinned", source=path, accept_hash=True).sha256 == SHA256
    assert dataclasses.asdict(store.describe("unpinned"))["hash_accepted"]
