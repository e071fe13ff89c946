"""A running service with real sockets and real worker processes; only the engine is left out unless a test needs it."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from web import tokens
from web.api import create_app
from web.jobs import Service
from web.settings import ServiceSettings
from web.store import Store

STUB = (sys.executable, str(Path(__file__).with_name("stub_worker.py")))


@dataclasses.dataclass
class Running:
    """A service, and a client with a token of it."""

    folder: Path
    url: str
    token: str
    client: httpx.Client
    service: Service

    def hand_in(self, photo: bytes = b"fine", *, name: str = "march.jpg", kind: str = "protect", path: str = "/v1/jobs",
                key: str | None = None, token: str | None = None, wait: float | None = None,
                files: dict[str, Any] | None = None, **fields: str) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = fields if path == "/v1/photos" else {"kind": kind, **fields}
        return self.client.post(path, data=data, files=files or {"file": (name, photo)}, headers=headers,
                                params=None if wait is None else {"wait": wait})

    def job(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Hands in and returns the job."""
        answer = self.hand_in(*arguments, **more)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def look(self, job: dict[str, Any], wait: float = 0) -> dict[str, Any]:
        answer = self.client.get(f"/v1/jobs/{job['id']}", params={"wait": wait})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def new_token(self, name: str = "other") -> str:
        store = Store(self.folder)
        try:
            return tokens.create(store, name)[1]
        finally:
            store.close()

    @property
    def files(self) -> list[Path]:
        """Of all jobs and uploads."""
        return [path for path in (self.folder / "jobs").rglob("*") if path.is_file()]

    @property
    def folders(self) -> list[Path]:
        return list((self.folder / "jobs").iterdir())


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true value of `condition`; fails where there is none in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)
    return value


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Running]:
    made = ServiceSettings(folder=folder, port=0, **{"worker": STUB, "min_free_bytes": 0, **settings})
    store = Store(folder)
    token = tokens.create(store, "test")[1]
    store.close()
    service = Service(made)
    server = uvicorn.Server(uvicorn.Config(create_app(service), host="127.0.0.1", port=0, log_config=None,
                                           access_log=False, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started or not thread.is_alive())
    assert server.started, "the service did not start"
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120,
                          trust_env=False) as client:
            yield Running(folder, url, token, client, service)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """`start(**settings)`: a service that ends with the test."""
    with ExitStack() as stack:
        def one(folder: Path | None = None, **settings: Any) -> Running:
            opened: AbstractContextManager[Running] = running(folder or tmp_path / "service", **settings)
            return stack.enter_context(opened)

        yield one


@pytest.fixture
def service(start: Callable[..., Running]) -> Running:
    return start()


def log_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
