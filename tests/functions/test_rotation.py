"""A secret is replaced by another, step by step, and nobody is signed out meanwhile."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from functions.contract.session import Session, Sessions
from functions.web.emit import EmitError
from functions.web.emitters import LoopbackEmitter
from socket_host.transport.native.recovery import Recovery
from tests.kit.clients import clients
from tests.kit.hosts import serving, url

OLD, NEW = "the-old-secret-" * 3, "the-new-secret-" * 3

# What docs/secrets.md has the setting be, one after another; the first signs.
STEPS = [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]

# While one step is deployed a half, or a host, is still at the one before. What the last but one
# has signed, with the new secret, the last verifies.
AT_ONCE = [pair for step in pairwise(STEPS) for pair in (step, step[::-1])]

ANN = Session("ann", "Ann")


def settings(secrets: tuple[str, ...]) -> dict[str, Any]:
    return {"session_secret": secrets[0], "former_secrets": secrets[1:]}


@pytest.mark.parametrize(("one", "other"), AT_ONCE)
def test_sessions(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """A session that one half has issued is believed by the other."""
    assert Sessions(*other).verify(Sessions(*one).issue(ANN)) == ANN


@pytest.mark.parametrize(("one", "other"), AT_ONCE)
def test_recovery(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """A client that one host has let go is known by the other, and only to its owner."""
    pid = Recovery(120, *one).pid("sid", "ann")
    assert Recovery(120, *other).is_valid(pid, "ann")
    assert not Recovery(120, *other).is_valid(pid, "bob")


@pytest.mark.parametrize(("one", "other"), AT_ONCE)
async def test_loopback(one: tuple[str, ...], other: tuple[str, ...], tmp_path: Path) -> None:
    """What a function emits reaches the clients of a host that is a step ahead or behind."""
    async with serving(tmp_path, **settings(other)) as host, clients() as people:
        ann = await people.connect(url(host), Sessions(*one).issue(ANN))
        emitter = LoopbackEmitter(f"{url(host)}/bus", one[0])
        await asyncio.to_thread(emitter.emit, "news", "hello")
        assert await ann.receive("news") == "hello"


async def test_the_end_of_a_secret(tmp_path: Path) -> None:
    """Once it is gone from the setting, an old secret opens nothing any more."""
    async with serving(tmp_path, **settings(STEPS[-1])) as host, clients() as people:
        emitter = LoopbackEmitter(f"{url(host)}/bus", OLD)
        with pytest.raises(EmitError):
            await asyncio.to_thread(emitter.emit, "news", "hello")
        ann = await people.begin(url(host), Sessions(OLD).issue(ANN), wait=False)
        assert (await ann.receive("connect_error"))["data"] == {"code": "session"}
    assert not Recovery(120, NEW).is_valid(Recovery(120, OLD).pid("sid", "ann"), "ann")
