"""Starts the service. `cloak serve` and `cloak token` come here."""

from __future__ import annotations

import logging

import uvicorn

from cloak import SettingsInvalid
from web import logs, tokens
from web.api import create_app
from web.settings import ServiceSettings
from web.store import Store

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
        SettingsInvalid: there is no token and other machines could reach it.
    """
    may_start(settings)
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logs.Handler()], False
        logger.setLevel(logging.WARNING)
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port, log_config=None, access_log=False,
                server_header=False, proxy_headers=False, timeout_graceful_shutdown=_GRACE_S)
