"""Starts the service. `cloak serve` and `cloak token` come here."""

from __future__ import annotations

import logging
import socket

import uvicorn

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
    """Runs until it is told to stop. Whether it may is asked once more, for whoever calls this by itself.

    Raises:
        SettingsInvalid: there is no token and other machines could reach it, another service has the folder, or it
            cannot listen there.
    """
    may_start(settings)
    service = Service(settings)
    try:
        _run(service, _listen(settings))
    finally:
        service.close()


def _run(service: Service, listening: socket.socket) -> None:
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logs.Handler()], False
        logger.setLevel(logging.WARNING)
    logs.event("listening", port=listening.getsockname()[1])
    config = uvicorn.Config(create_app(service), log_config=None, access_log=False, server_header=False,
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
