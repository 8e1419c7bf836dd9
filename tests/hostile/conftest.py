"""Every test here is one of the suite that `-m hostile` names."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from socket_host.app import SocketHost
from tests.kit import buses
from tests.kit.buses import Redis
from tests.kit.hosts import serving
from tests.socket_host.transport.recovering import Rooms

_FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the attacks."""
    for item in items:
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.hostile)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SocketHost]:
    async with serving(tmp_path, Rooms, origins=None) as host:
        yield host


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with buses.redis(tmp_path) as server:
        yield server
