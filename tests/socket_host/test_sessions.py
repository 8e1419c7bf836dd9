"""Only visitors with a session issued by the pages are admitted."""

import time
from pathlib import Path
from typing import Any

import pytest
import socketio.exceptions

from functions.contract.session import COOKIE, MAX_AGE, Session, Sessions
from tests.kit.clients import clients
from tests.kit.hosts import SECRET, serving, token, url


def expired(monkeypatch: pytest.MonkeyPatch) -> str:
    """A token whose session has expired."""
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now - MAX_AGE - 10)
        return Sessions(SECRET).issue(Session("ann", "Ann"))


@pytest.mark.parametrize("way", ["cookie", "auth"])
async def test_session_names_the_visitor(way: str, tmp_path: Path) -> None:
    """The session is in the page's cookie; for other clients, it is in `auth`."""
    async with serving(tmp_path) as host, clients() as people:
        if way == "cookie":
            other = f"a=1; {COOKIE}={token('Ann')}; b=2"
            ann = await people.connect(url(host), None, headers={"Cookie": other})
        else:
            ann = await people.connect(url(host), None, auth={"session": token("Ann")})
        assert (await ann.call("enter", {"room": "den"}))["you"] == {"id": "ann", "name": "Ann"}


@pytest.mark.parametrize("auth", [None, "text", 7, ["x"], {"session": 5}, {"session": ""}, {}])
async def test_without_session(auth: Any, tmp_path: Path) -> None:
    """A client without a token, whatever else it sends, is asked to get one."""
    await refused(tmp_path, auth=auth)


async def test_bad_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is forged, from another secret, or expired is refused."""
    good = token("Ann")
    for bad in ("x", good[:-1], good + "x", token(secret="another-secret-" * 3)):
        await refused(tmp_path, auth={"session": bad})
    assert "expired" in await refused(tmp_path, auth={"session": expired(monkeypatch)})


async def refused(folder: Path, **options: Any) -> str:
    """Connect and be refused because of the session; return the message."""
    async with serving(folder) as host, clients() as people:
        client = await people.begin(url(host), None, **options, wait=False)
        error = await client.receive("connect_error")
        assert error["data"] == {"code": "session"}
        assert host.namespaces[0].refused == {"session": 1}
        return str(error["message"])


async def test_full_host(tmp_path: Path) -> None:
    """A full host refuses clients with a reason until another client leaves."""
    async with serving(tmp_path, max_connections=1) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        with pytest.raises(socketio.exceptions.ConnectionError):
            await people.begin(url(host), token("Bob"))
        bob = await people.begin(url(host), token("Bob"), wait=False)
        assert (await bob.receive("connect_error"))["data"] == {"code": "full"}
        await ann.close()
        await people.connect(url(host), token("Cat"), retry=True)
