"""What stands between the plugin and the service, and fails as networks and servers do."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Proxy:
    """`mode` says what becomes of the next request, whatever it asks for:

    up          the service answers
    down        the connection is cut before an answer
    slow        nothing comes until `reset` or the end of the client's patience
    error       500 with a problem document
    html        200 with a page, as captive portals and broken proxies answer
    cut         the service's answer, half of it
    picture     200 with `body` whatever was asked, such as the untouched photo
    answer      what `answer(method, path, body)` returns as (status, media type, bytes); None: the service's own
    """

    def __init__(self, target: str) -> None:
        self.body = b""
        self.answer: Callable[[str, str, bytes], tuple[int, str, bytes] | None] | None = None
        self.requests: list[tuple[str, str]] = []  # (method, path) since the last reset
        self._released = threading.Event()
        self.reset(target)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def reset(self, target: str) -> None:
        self._released.set()
        self._released = threading.Event()
        self.target, self.mode, self.body, self.answer, self.requests = target, "up", b"", None, []

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def handle_one(self) -> None:
                proxy._handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_one

        return Handler

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        mode, released = self.mode, self._released
        self.requests.append((request.command, request.path))
        if mode == "down":  # reset, not closed in order
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            request.close_connection = True
            request.connection.close()
            return
        body = _body(request)
        if mode == "slow":
            released.wait(120)
            request.close_connection = True
            return
        if mode == "error":
            return _say(request, 500, "application/problem+json",
                        b'{"type":"about:blank","title":"Internal error","status":500,"code":"internal","detail":"x"}')
        if mode == "html":
            return _say(request, 200, "text/html", b"<!doctype html><title>Welcome</title><p>Please log in.")
        if mode == "picture":
            return _say(request, 200, "image/jpeg", self.body)
        if mode == "answer" and self.answer:
            made = self.answer(request.command, request.path, body)
            if made is not None:
                return _say(request, *made)
        self._pass_on(request, body, share=0.5 if mode == "cut" else 1.0)

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes, share: float) -> None:
        target = urlsplit(self.target)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=120)
        headers = {name: value for name, value in request.headers.items()
                   if name.lower() not in _HOP | {"host", "expect"}}
        try:
            connection.request(request.command, request.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            data = answer.read()
            data = data[: int(len(data) * share)] if share < 1 else data
            request.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP | {"date", "server"}:
                    request.send_header(name, value)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
        except OSError:
            request.close_connection = True
        finally:
            connection.close()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        parts = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            parts.append(request.rfile.read(size))
            request.rfile.readline()
        request.rfile.readline()
        return b"".join(parts)
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))


def _say(request: BaseHTTPRequestHandler, status: int, media_type: str, data: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Type", media_type)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
