"""Servers shared by the tests of several modules."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.kit.protocol_client import Http, http_client
from tests.kit.protocol_server import protocol_server
from tests.socket_host.transport.staging import Stage, stage


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    """A server on our transport."""
    async with AsyncExitStack() as stack:
        yield await stage(stack)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """A client of a host with rare heartbeats."""
    async with protocol_server() as host, http_client(host.port) as http:
        yield http
