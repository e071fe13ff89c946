"""Around every request: the one place where errors end, headers are set and a line is logged."""

from __future__ import annotations

import errno
import sqlite3
import time
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web import logs, uploads
from web.problems import Problem
from web.uploads import ClientGone

# Nothing of ours is to be kept by a proxy or browser, nor shown as something it is not.
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}


class Edge:
    """ASGI middleware, outermost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        fields: dict[str, Any] = {}
        try:
            await self._app(scope, receive, send_marked)
        except ClientGone:
            fields["code"] = "client-gone"
        except Exception as error:
            problem = _problem(error)
            fields["code"] = problem.code
            if problem.code == "broken":
                fields["where"] = logs.where(error)
            if status:  # half an answer is out: only ending the connection tells the client
                raise ConnectionAbortedError from None
            await problem.response(scope, receive, send_marked)
        finally:
            route = scope.get("route")
            if fields or status >= 400 or not scope.get("state", {}).get("is_frequent"):
                # Never the path itself: anything can stand in it
                logs.event("request", method=_known(scope["method"]), route=getattr(route, "path", None),
                           status=status or None, ms=round(1000 * (time.monotonic() - began)), **fields)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if is_full or isinstance(error, sqlite3.OperationalError) and "full" in str(error):
        return uploads.disk_full()
    return Problem("broken", "an error of ours; it was noted. Nothing more is known to have been done.")


def _known(method: str) -> str:
    return method if method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH") else "other"
