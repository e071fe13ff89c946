"""One WordPress and one engine for all tests of the plugin; each test finds them as they were.

    site         WordPress with the plugin, in the state right after activation: no uploads, policy `off`
    service      the Python service whose engine is made up, see `stub_engine`: quick, and two faces in every photo
    engine       the Python service with the engine in it
    proxy        in front of `service`; can be told to be down, slow, ... and starts as `up`
    guarded      `guarded("require", ...)`: the plugin set up with a policy, by default through `proxy`
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from ..conftest import Running, running
from .newsroom import Newsroom, newsroom
from .proxy import Proxy

# What a busy machine takes its time for is no failure
expect.set_options(timeout=20_000)
STUB = (sys.executable, str(Path(__file__).with_name("stub_engine.py")))


@pytest.fixture(scope="session")
def one_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newsroom]:
    with newsroom(tmp_path_factory.mktemp("wp")) as one:
        yield one


@pytest.fixture
def site(one_site: Newsroom) -> Iterator[Newsroom]:
    one_site.reset()
    yield one_site
    complaints = [line for line in one_site.errors if "facecloak" in line]
    assert not complaints, "\n".join(complaints[:20])


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("stub") / "service", worker=STUB) as one:
        yield one


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Started when first asked for; its networks take some seconds to load."""
    from web.settings import WORKER

    with running(tmp_path_factory.mktemp("engine") / "service", worker=WORKER) as one:
        yield one


@pytest.fixture(scope="session")
def one_proxy(service: Running) -> Iterator[Proxy]:
    with Proxy(service.url) as one:
        yield one


@pytest.fixture
def proxy(one_proxy: Proxy, service: Running) -> Proxy:
    one_proxy.reset(service.url)
    return one_proxy


@pytest.fixture
def guarded(site: Newsroom, service: Running, proxy: Proxy) -> Callable[..., Newsroom]:
    """`guarded(policy, by=service, **settings)`: the site with the plugin set up."""
    def set_up(policy: str, by: Running | None = None, **settings: Any) -> Newsroom:
        if by is not None:
            proxy.reset(by.url)
        site.configure(proxy.url, (by or service).token, policy=policy, **settings)
        return site

    return set_up
