"""A real browser, Debian's Chromium, and services whose pages it opens. Every request it makes is looked at."""

from __future__ import annotations

import dataclasses
import io
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from web import tokens
from web.api import create_app
from web.jobs import Service
from web.settings import ServiceSettings
from web.store import Store
from web.studio import Studio

from ..conftest import eventually

STUB = (sys.executable, str(Path(__file__).with_name("stub_engine.py")))
# A look-up of any name fails, so that a request which the watch misses cannot succeed either
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-gpu",
             "--disable-background-networking", "--disable-component-update", "--no-first-run"]


# No longer than a module: while Playwright is there, an event loop of its own runs in this thread
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "no Chromium: scripts/setup.sh test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """What a browser asked for that is not on this machine, and what it complained of."""

    def __init__(self, context: BrowserContext) -> None:
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.count = 0
        context.on("request", lambda request: self._request(request.url))
        context.on("console", lambda message: self._console(message.type, message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _request(self, url: str) -> None:
        self.count += 1
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.outside.append(url)

    def _console(self, kind: str, text: str) -> None:
        if kind == "error" and "Failed to load resource" not in text:
            self.complaints.append(text)

    def look(self) -> None:
        assert self.outside == [] and self.complaints == []


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """`visit(url, **context)`: the page in a browser of its own, whose requests are all looked at in the end."""
    watches: list[Watch] = []
    contexts: list[BrowserContext] = []

    def one(url: str, **more: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **more})
        context.set_default_timeout(120_000)
        watches.append(Watch(context))
        contexts.append(context)
        page = context.new_page()
        page.goto(url)
        return page

    one.watches = watches  # type: ignore[attr-defined]
    yield one
    for context in contexts:
        context.close()
    for watch in watches:
        assert watch.count > 0
        watch.look()


@dataclasses.dataclass
class Open:
    """A service with a studio."""

    folder: Path
    url: str
    service: Service
    studio: Studio

    @property
    def key_url(self) -> str:
        return self.url + self.studio.key_path

    @property
    def files(self) -> list[Path]:
        """Everything in folders of jobs and in Gradio's."""
        return [path for name in ("jobs", "gradio") for path in (self.folder / name).rglob("*") if path.is_file()]

    def token(self, name: str = "someone") -> str:
        store = Store(self.folder)
        try:
            return tokens.create(store, name)[1]
        finally:
            store.close()


@contextmanager
def opened(folder: Path, *, is_by_key: bool = False, tab_grace_s: float = 0.5, after_download_s: float = 600.0,
           **settings: Any) -> Iterator[Open]:
    service = Service(ServiceSettings(folder=folder, port=0, **{"worker": STUB, "min_free_bytes": 0,
                                                               "max_upload_bytes": 2**20, **settings}))
    studio = Studio(service, is_by_key=is_by_key, tab_grace_s=tab_grace_s)
    studio.access.after_download_s = after_download_s
    server = uvicorn.Server(uvicorn.Config(create_app(service, studio), host="127.0.0.1", port=0, log_config=None,
                                           access_log=False, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started or not thread.is_alive(), seconds=60)
    assert server.started, "the service did not start"
    try:
        yield Open(folder, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", service, studio)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[Callable[..., Open]]:
    """`open_studio(**settings)`: a studio that ends with the test; a made-up engine works in it."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(opened(tmp_path / "studio", **settings))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """One studio for all tests that leave it as it was."""
    with opened(tmp_path_factory.mktemp("shared") / "studio") as one:
        yield one


def enter(page: Page, one: Open) -> Page:
    """Through the entrance with a new token; then the page is ready."""
    page.fill("#token", one.token())
    page.click("button")
    page.wait_for_selector("#fc-photo-drop .fc-zone")
    page.wait_for_function("window.facecloak.tab")
    return page


def photo(size: tuple[int, int] = (400, 300), *, colour: int | None = None, seed: int = 0) -> bytes:
    """PNG. Of one colour, or stripes with noise, which no cover looks like."""
    pixels = np.full((size[1], size[0], 3), 0 if colour is None else colour, np.uint8)
    if colour is None:
        pixels[:] = np.random.default_rng(seed).integers(90, 220, (size[1], 1, 3))
        pixels[::7] = (250, 120, 60)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def pixels_of(data: bytes | Path) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def upload(page: Page, *files: tuple[str, bytes], into: str = "#fc-photo-drop input") -> None:
    page.set_input_files(into, [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files])


def choose(page: Page, face: int, how: str) -> None:
    page.check(f'.fc-row[data-face="{face}"] input[value="{how}"]')


def download(page: Page, selector: str = "#fc-download") -> tuple[str, bytes]:
    """(name, bytes)"""
    with page.expect_download() as coming:
        page.click(selector)
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()
