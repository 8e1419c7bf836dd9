"""An app of another kind than the sample works: pages, namespaces, store and settings."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from functions import app as door
from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import SettingError, StartError
from functions.web.settings import Settings as PageSettings
from socket_host.app import create_app
from socket_host.settings import Settings
from tests.kit.clients import clients
from tests.kit.hosts import on_each_transport, serving, settings, token, url
from tests.kit.lambda_events import http_api, invoke
from tests.small_app import pages, site
from tests.small_app.events.hall import Hall
from tests.small_app.events.poll import Poll
from tests.small_app.model.settings import settings as declared

ENVIRON = {"SESSION_SECRET": SAMPLE_SECRET, "STAGE": "development", "GREETING": "Good day"}


def visit(folder: Path, path: str, **changes: str) -> Any:
    """Request a page of the small app, with its data in a folder."""
    environ = {**ENVIRON, "MOST_VOTES": "9", "POSTS": f"{folder}/posts", **changes}
    found = PageSettings.from_environ(environ, declared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.handler, "app", door.create_app(found, pages))
        return invoke(http_api(path))


def test_page(tmp_path: Path) -> None:
    """A page has its template, its static file, its setting and its store."""
    answer = visit(tmp_path, "/")
    assert "<h1>Good day</h1><p>1 <img" in answer["body"]
    assert "/static/dot." in answer["body"]
    assert '<a class="brand" href="/">Home</a>' in answer["body"]


def test_error_page(tmp_path: Path) -> None:
    """A site without its own error page or header uses the framework's."""
    answer = visit(tmp_path, "/nothing")
    assert answer["statusCode"] == 404
    assert "There is no such page" in answer["body"]


def test_function_does_not_start_without_its_store(tmp_path: Path) -> None:
    """A store that the pages cannot open stops the function with a sentence."""
    with pytest.raises(StartError, match="Set MOST_VOTES"):
        visit(tmp_path, "/", MOST_VOTES="0")


@on_each_transport
async def test_two_namespaces(transport: str, tmp_path: Path) -> None:
    """Each namespace handles its own events and clients only."""
    own = {"MOST_VOTES": 9}
    both = {"namespaces": ["/", "/hall"]}
    host: Any
    async with (
        serving(tmp_path, Poll, Hall, transport=transport, own=own) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"), **both)
        assert await ann.call("poll:vote", "tea") == {"count": 1}
        assert await ann.receive("count") == {"tea": 1}
        assert "error" in await ann.call("enter", "den")
        assert "error" in await ann.call("poll:vote", 7)
        poll, hall = host.namespaces
        assert poll.refused == {"unknown event": 1, "shape": 1}
        hall.refused["full"] += 2
        async with aiohttp.ClientSession() as http, http.get(f"{url(host)}/health") as answer:
            health = await answer.json()
        assert health["refused"] == {"unknown event": 1, "shape": 1, "full": 2}
    assert poll.life == ["started", "settled", "stopped"]


async def test_host_does_not_start_without_its_store(tmp_path: Path) -> None:
    """A store that a namespace cannot open stops the host, and everything that had started."""

    class Broken(Poll):
        namespace = "/broken"

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            raise StartError("There is nothing to vote on.")
            yield

    host = create_app(settings(tmp_path, own={"MOST_VOTES": 1}), [Poll, Hall, Broken])
    with pytest.raises(StartError, match="nothing to vote on"):
        await host.start()
    poll: Any = host.namespaces[0]
    assert poll.life == ["started", "stopped"]


@pytest.mark.parametrize("read", [PageSettings.from_environ, Settings.from_environ])
def test_malformed_setting_is_named(read: Any) -> None:
    """A wrong value of a declared setting is reported like that of a framework setting."""
    environ = {**ENVIRON, "POSTS": "/x", "MOST_VOTES": "many", "PUBLIC_ORIGIN": "http://localhost"}
    with pytest.raises(SettingError, match="MOST_VOTES must be a whole number, not 'many'"):
        read(environ, declared)


def test_missing_setting_is_named() -> None:
    """A declared setting without a default is required in its halves."""
    environ: Mapping[str, str] = {"SESSION_SECRET": SAMPLE_SECRET, "STAGE": "development"}
    with pytest.raises(SettingError) as raised:
        PageSettings.from_environ(environ, declared)
    assert str(raised.value) == (
        "POSTS is not set. It says where posts are kept. "
        "MOST_VOTES is not set. It says how many votes there may be. "
        "GREETING is not set. It says how the page greets."
    )
    given = {**environ, "PUBLIC_ORIGIN": "http://localhost", "POSTS": "/x"}
    host = Settings.from_environ(given, declared)
    assert host.own == {"POSTS": "/x", "MOST_VOTES": 100}
