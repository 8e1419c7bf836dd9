"""Marks every test here as one of the suite `-m hostile`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from functions import app as door
from functions.web.settings import Settings
from socket_host.app import SocketHost
from tests.hostile.tokens import Build
from tests.kit import buses
from tests.kit.buses import Redis
from tests.kit.hosts import SECRET, serving
from tests.small_app import pages, site
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


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds the small app's pages again, with the secret that signs the cookies of these tests."""

    def build(**changes: Any) -> None:
        own = {"POSTS": f"{tmp_path}/posts.sqlite3", "MOST_VOTES": 9, "GREETING": "Hello"}
        made = door.create_app(Settings(SECRET, own=own, **changes), pages)
        monkeypatch.setattr(site.handler, "app", made)

    return build
