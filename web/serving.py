"""Starts the service and its studio. `cloak serve`, `cloak studio` and `cloak token` come here."""

from __future__ import annotations

import logging
import os
import socket
import threading
import webbrowser
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from cloak import SettingsInvalid
from web import logs, tokens
from web.api import create_app
from web.jobs import Service
from web.settings import ServiceSettings
from web.store import Store

_BACKLOG = 512  # connections that wait to be taken up
_GRACE_S = 5  # for answers that are on their way when the service is stopped


def may_start(settings: ServiceSettings) -> bool:
    """Whether there is a token, so that anybody can use the service.

    Raises:
        SettingsInvalid: there is none, and other machines could reach it.
    """
    store = Store(settings.folder)
    try:
        has_token = any(token.revoked is None for token in tokens.listed(store))
    finally:
        store.close()
    if not has_token and not settings.is_loopback:
        raise SettingsInvalid(f"{settings.host} can be reached from other machines, and there is no token. Make one "
                              "with `cloak token create NAME`, or leave out --host. Nothing was started.")
    return has_token


def serve(settings: ServiceSettings) -> None:
    """The API, and the studio behind the same tokens, until it is told to stop. Whether it may is asked once more, for
    whoever calls this by itself.

    Raises:
        SettingsInvalid: there is no token and other machines could reach it, another service has the folder, or it
            cannot listen there.
    """
    may_start(settings)
    _start(settings, is_by_key=False)


def studio(settings: ServiceSettings, *, say: Callable[[str], None], opens_browser: bool) -> None:
    """The studio for the person at this machine, until it is told to stop. A key in the address lets one browser in.

    Args:
        say: is told the address with the key.
        opens_browser: whether the browser of this machine is to open it.
    Raises:
        SettingsInvalid: other machines could reach it, another one has the folder, or it cannot listen there.
    """
    if not settings.is_loopback:
        raise SettingsInvalid(f"{settings.host} can be reached from other machines. The studio there is `cloak serve`, "
                              "which asks for a token. Nothing was started.")
    logs.leave_out("request", "job", "started", "listening")  # a person looks at the page, not at these

    def on_listening(port: int, path: str) -> None:
        host = f"[{settings.host.strip('[]')}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{port}{path}"
        say(address)
        if opens_browser:  # some browsers hold up whoever starts them
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    _start(settings, is_by_key=True, on_listening=on_listening)


def _start(settings: ServiceSettings, *, is_by_key: bool,
           on_listening: Callable[[int, str], None] | None = None) -> None:
    service = Service(settings)
    before = os.umask(0o077)  # whatever a library makes in our folder is for its owner's eyes only
    try:
        listening = _listen(settings)
        from web.studio import Studio  # Gradio, which takes seconds and is no use to `cloak token`

        pages = Studio(service, is_by_key=is_by_key)
        app = create_app(service, pages)
        if on_listening is not None:
            on_listening(listening.getsockname()[1], pages.key_path)
        _run(app, listening)
    finally:
        service.close()
        os.umask(before)


def _run(app: FastAPI, listening: socket.socket) -> None:
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logs.Handler()], False
        logger.setLevel(logging.WARNING)
    logs.event("listening", port=listening.getsockname()[1])
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False,
                            proxy_headers=False, timeout_graceful_shutdown=_GRACE_S)
    uvicorn.Server(config).run(sockets=[listening])


def _listen(settings: ServiceSettings) -> socket.socket:
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsInvalid(f"{settings.host}, port {settings.port}: cannot listen there ({error.strerror}). Choose "
                              "another with --host and --port. Nothing was started.") from error
