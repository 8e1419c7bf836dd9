"""`scripts/dev --hosts 2`: several hosts at one address, as in the cloud."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession

from functions.contract.session import SAMPLE_SECRET
from scripts.yours import TEMPLATE, with_parts
from tests.kit import buses
from tests.kit.clients import clients
from tests.kit.hosts import token
from tests.scripts.dev.edges import PATIENCE
from tests.scripts.dev.project import Dev, alive, descendants, running, small_project, starting

pytestmark = pytest.mark.together("reloads")

PLAZA = "socket_host/events/plaza.py"
POLL = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    """Two hosts on a Redis of their own, in a copy of the project."""
    async with (
        buses.redis(tmp_path) as redis,
        running(small_project(tmp_path), "--hosts", "2", "--bus", redis.setting) as dev,
    ):
        yield dev


def hosts(dev: Dev) -> set[int]:
    """The process ids of the hosts."""
    found = descendants(dev.process.pid)
    return {pid for pid, command in found.items() if "socket_host" in command}


# A function on a queue, whose messages do not go the way of the hosts' own.
MAILER = """
  Mails:
    Type: AWS::SQS::Queue
  Mailer:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.pages.mail.handler
      Events: { Mail: { Type: SQS, Properties: { Queue: !GetAtt Mails.Arn } } }
"""


@pytest.mark.parametrize("bus", ["redis", "sns"])
async def test_one_site(bus: str, tmp_path: Path) -> None:
    """Clients of both hosts receive each other's events and functions', polling and upgraded."""
    async with AsyncExitStack() as stack:
        if bus == "redis":
            setting = (await stack.enter_async_context(buses.redis(tmp_path))).setting
        else:
            stack.enter_context(buses.aws())
            setting = buses.topic()
        project = small_project(tmp_path)
        template = project / TEMPLATE
        template.write_text(with_parts(template.read_text(), {"resources": MAILER}))
        site = running(project, "--hosts", "2", "--bus", setting)
        dev = await stack.enter_async_context(site)
        polling = await stack.enter_async_context(clients("javascript", "polling"))
        upgrade = await stack.enter_async_context(clients("javascript", "upgrade"))
        browser = await stack.enter_async_context(ClientSession())
        people = [
            await people.connect(
                dev.url, None, auth={"session": token(name, secret=SAMPLE_SECRET)}, **keeps_cookies
            )
            for name, people in [("Ann", polling), ("Bob", upgrade), ("Cat", polling)]
        ]
        for person in people:
            assert (await person.call("enter", {"room": "plaza"}))["room"] == "plaza"
        for number, person in enumerate(people, 1):
            answer = await person.call("message", {"id": f"m{number}", "text": "live"})
            assert answer["seq"] == number
        await (await browser.get(dev.url)).text()
        await browser.post(dev.url, data={"id": "m4", "text": "by hand"})
        for person in people:
            # The order is that of each host; pages sort messages by their numbers.
            received = {(await person.receive("message"))["id"] for _ in range(4)}
            assert received == {"m1", "m2", "m3", "m4"}


keeps_cookies = {"withCredentials": True}


async def test_restarts_are_rolling(dev: Dev) -> None:
    """A save restarts one host after another, so new clients are always accepted.

    Code that cannot start affects one host only; the next working save restarts all.
    """
    before = hosts(dev)
    assert len(before) == 2
    dev.save(PLAZA, "class Plaza(", "oops\n\n\nclass Plaza(")
    await dev.says("Socket host 1 ended with status 1 before it listened.")
    await dev.says("The remaining socket hosts stay as they are.")
    assert len(hosts(dev) & before) == 1
    dev.save(PLAZA, "oops\n\n\nclass Plaza(", "class Plaza(")
    async with asyncio.timeout(PATIENCE):
        while (now := hosts(dev)) & before or len(now) < 2:
            assert (await dev.get(POLL))[0] == 200


async def test_killed_host(dev: Dev) -> None:
    """While a host is down, the others take its clients; all stop together."""
    one, _ = before = hosts(dev)
    os.kill(one, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        while len(now := hosts(dev) - {one}) < 2:
            assert (await dev.get(POLL))[0] in (200, 502)  # 502 at the moment it is killed
    assert await dev.end() == 0
    assert not any(map(alive, now | before))


async def test_several_hosts_need_a_bus(tmp_path: Path) -> None:
    """Several hosts without a bus cause one message and status 1."""
    async with starting(small_project(tmp_path), "--hosts", "2") as dev:
        async with asyncio.timeout(PATIENCE):
            assert await dev.process.wait() == 1
        await dev.says("Several hosts need a bus")
        assert len(dev.said) == 1
