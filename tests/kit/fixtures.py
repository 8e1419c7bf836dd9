"""The fixtures for your own tests: docs/testing.md shows each of them in use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Other modules are imported where they are needed, because every test loads this one.
if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.kit.development import Development
    from tests.kit.pages import Visitor
    from tests.kit.people import Host, StartHosts


@pytest.fixture
def pages() -> Visitor:
    """A visitor who requests your pages, without a socket."""
    from tests.kit.pages import Visitor

    return Visitor()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """A host with your namespaces, in this process; its data is in `tmp_path`."""
    from tests.kit.hosts import url
    from tests.kit.people import Host
    from tests.kit.yours import serving

    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(tmp_path))
        yield Host(url(running), stack)


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[StartHosts]:
    """Starts hosts with your namespaces that share a bus and data: `one, two = await hosts(2)`.

    Their AWS is the stand-in of `tests.kit.aws`.
    """
    from tests.kit.aws import aws_environ
    from tests.kit.buses import redis
    from tests.kit.people import Host
    from tests.kit.yours import environ, host_process

    async with AsyncExitStack() as stack:

        async def start(count: int, **changes: str) -> list[Host]:
            bus = await stack.enter_async_context(redis(tmp_path))
            settings = environ(tmp_path, **{"BUS": bus.setting} | aws_environ() | changes)
            processes = [
                await stack.enter_async_context(host_process(settings)) for _ in range(count)
            ]
            for process in processes:
                await process.ready()
            running = [Host(process.url, stack, process) for process in processes]
            for each in running:
                await each.knows(count - 1)
            return running

        yield start


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """Your whole site under scripts/dev, at `site.url`; shared by the tests of a module."""
    from tests.kit.development import start_development

    with start_development(tmp_path_factory.mktemp("data")) as development:
        yield development


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, shared by the tests of a module. Each `browser.new_page()` is a new visitor."""
    from tests.kit.browsers import chromium

    with chromium() as browser:
        yield browser
