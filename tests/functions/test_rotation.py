"""A secret is replaced step by step, without signing anybody out."""

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

# The values of the setting in docs/secrets.md, in order; the first secret signs.
STEPS = [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]

# While a step is being deployed, some processes still have the one before. The last step verifies
# what the last but one has signed with the new secret.
AT_ONCE = [pair for step in pairwise(STEPS) for pair in (step, step[::-1])]

ANN = Session("ann", "Ann")


def settings(secrets: tuple[str, ...]) -> dict[str, Any]:
    return {"session_secret": secrets[0], "former_secrets": secrets[1:]}


@pytest.mark.parametrize(("one", "other"), AT_ONCE)
def test_sessions(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """A session issued by one half is valid in the other."""
    assert Sessions(*other).verify(Sessions(*one).issue(ANN)) == ANN


@pytest.mark.parametrize(("one", "other"), AT_ONCE)
def test_recovery(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """A private id issued by one host is valid at the other, only for its owner."""
    pid = Recovery(120, *one).pid("sid", "ann")
    assert Recovery(120, *other).is_valid(pid, "ann")
    assert not Recovery(120, *other).is_valid(pid, "bob")


@pytest.mark.parametrize(("one", "other"), AT_ONCE)
async def test_loopback(one: tuple[str, ...], other: tuple[str, ...], tmp_path: Path) -> None:
    """A function's emits reach a host that is a step ahead or behind."""
    async with serving(tmp_path, **settings(other)) as host, clients() as people:
        ann = await people.connect(url(host), Sessions(*one).issue(ANN))
        emitter = LoopbackEmitter(f"{url(host)}/bus", one[0])
        await asyncio.to_thread(emitter.emit, "news", "hello")
        assert await ann.receive("news") == "hello"


async def test_the_end_of_a_secret(tmp_path: Path) -> None:
    """Once it is removed from the setting, an old secret is no longer valid."""
    async with serving(tmp_path, **settings(STEPS[-1])) as host, clients() as people:
        emitter = LoopbackEmitter(f"{url(host)}/bus", OLD)
        with pytest.raises(EmitError):
            await asyncio.to_thread(emitter.emit, "news", "hello")
        ann = await people.begin(url(host), Sessions(OLD).issue(ANN), wait=False)
        assert (await ann.receive("connect_error"))["data"] == {"code": "session"}
    assert not Recovery(120, NEW).is_valid(Recovery(120, OLD).pid("sid", "ann"), "ann")
