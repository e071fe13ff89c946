"""The gate before the studio: nobody passes without having been let in, and Gradio gets only what the pages need.

Every other path of Gradio's is closed, its own uploads and files above all: they are kept outside our folders, under
the names they came with, for anybody who knows where.
"""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.studio import entrance
from web.studio.access import Access, Visitor

ROOT = "/studio"
# The browser itself refuses whatever is not from us. Gradio makes functions and styles as it goes.
POLICY = ("default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
          "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
          "manifest-src 'self'; worker-src 'self' blob:; form-action 'self'; base-uri 'self'; frame-ancestors 'none'")
_GRADIO = re.compile(r"/|/config/?|/theme\.css|/favicon\.ico|/(assets|static)/.+|"
                     r"/gradio_api/(queue/(join|data)|cancel|reset|startup-events|heartbeat/[\w-]+)/?")
_OURS = re.compile(r"/(jobs|files/.+|leave)")
_LONGEST_FORM = 4096


class Gate:
    """ASGI middleware, inside `Edge`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif path in ("/manifest.json", "/favicon.ico"):  # the page and the browser ask for them; there are none
            await Response(status_code=204)(scope, receive, send)
        elif scope["type"] != "http" or not (path == ROOT or path.startswith(ROOT + "/") or path == "/"):
            await self._app(scope, receive, send)
        elif path in ("/", ROOT):
            await RedirectResponse(ROOT + "/" + _query(scope))(scope, receive, _marked(send))
        else:
            await self._studio(path.removeprefix(ROOT), scope, receive, _marked(send))

    async def _studio(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        cookie = cookie_of(scope)
        visitor = self._access.visitor(cookie)
        answer: Response | None = None
        if path == "/enter":
            answer = await self._enter(request)
        elif path == "/" and (key := request.query_params.get("key")) is not None:
            new = self._access.enter_by_key(key)
            # Also where the key is spent: a page that is loaded again goes on with its cookie
            is_in = new is not None or visitor is not None
            answer = _with_cookie(RedirectResponse(ROOT + "/", 303), scope, new) if is_in else _shut(self._access)
        elif visitor is None:
            answer = _shut(self._access) if path == "/" else Response(status_code=401)
        elif path == "/leave" and scope["method"] == "POST":
            assert cookie is not None
            self._access.leave(cookie)
            answer = _shut(self._access, 200)
        elif not (_GRADIO.fullmatch(path) or _OURS.fullmatch(path)) or self._is_anothers(visitor, path, request):
            answer = Response(status_code=404)
        if answer is not None:
            await answer(scope, receive, send)
        else:
            # A page asks for dozens of scripts and speaks all the time: nobody could read a log of that
            scope.setdefault("state", {}).update(visitor=visitor, is_frequent=bool(_GRADIO.fullmatch(path)))
            await self._app(scope, receive, send)

    async def _enter(self, request: Request) -> Response:
        """What the form at the entrance sends: a token, never in an address."""
        if request.method != "POST" or self._access.is_by_key:
            return RedirectResponse(ROOT + "/", 303)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_FORM:
                return Response(status_code=413)
        token = QueryParams(body.decode("latin-1")).get("token", "").strip()
        cookie = self._access.enter_by_token(token)
        if cookie is None:
            return HTMLResponse(entrance.by_token(is_wrong=True), 401)
        return _with_cookie(RedirectResponse(ROOT + "/", 303), request.scope, cookie)

    def _is_anothers(self, visitor: Visitor, path: str, request: Request) -> bool:
        named = request.query_params.get("session_hash") or path.partition("/heartbeat/")[2].rstrip("/")
        return bool(named) and self._access.is_anothers(visitor, named)


def cookie_name(scope: Scope) -> str:
    """Cookies know no ports, so the port is in the name: two studios on one machine stay apart."""
    server = scope.get("server") or ("", 0)
    return f"facecloak_{server[1]}"


def cookie_of(scope: Scope) -> str | None:
    """What the browser was given when it was let in."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return None
    morsel = jar.get(cookie_name(scope))
    return None if morsel is None else morsel.value


def _with_cookie(response: Response, scope: Scope, cookie: str | None) -> Response:
    if cookie is not None:  # SameSite=Strict: no other page can make this browser ask for anything here
        response.set_cookie(cookie_name(scope), cookie, path=ROOT, httponly=True, samesite="strict")
    return response


def _shut(access: Access, status: int = 401) -> Response:
    return HTMLResponse(entrance.by_key() if access.is_by_key else entrance.by_token(), status)


def _query(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    return "?" + query.decode("latin-1") if query else ""


def _marked(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = POLICY
        await send(message)

    return marked
