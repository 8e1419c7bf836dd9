"""A site of several hosts: the edge, the load balancer's stand-in, and the hosts' processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession

from scripts.commands.dev.balancer import Balancer
from scripts.commands.dev.edge import Edge, serving
from scripts.commands.dev.host import Host
from scripts.commands.dev.listeners import listen
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.template import SOCKET_HOST, Template
from tests.scripts.dev.edges import TEMPLATE

PATIENCE = 30  # seconds: a deadline that even a busy machine meets


class Site:
    """Hosts behind one address, restarted whenever they end."""

    def __init__(self, port: int, hosts: list[Host]) -> None:
        self.port = port
        self.hosts = hosts

    async def kill(self, host: Host, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a host's process, and wait until its replacement listens."""
        pid = host.pid
        assert pid
        os.kill(pid, number)
        await self.until(lambda: host.pid not in (pid, None) and host.address)

    async def well(self) -> None:
        """Wait until every host listens, and reports itself and its bus as healthy."""
        async with asyncio.timeout(PATIENCE), ClientSession() as http:
            for host in self.hosts:
                while not await _is_well(http, host):  # noqa: ASYNC110 - it has to be polled
                    await asyncio.sleep(0.05)

    async def health(self) -> list[dict[str, Any]]:
        """Return each host's health."""
        async with ClientSession() as http:
            answers = [await http.get(f"{host.address}/health") for host in self.hosts]
            return [await answer.json() for answer in answers]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition is true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.01)


async def _is_well(http: ClientSession, host: Host) -> bool:
    if not host.address:
        return False
    try:
        async with http.get(f"{host.address}/health") as answer:
            return answer.status == 200 and (await answer.json())["status"] == "ok"
    except OSError:
        return False


@asynccontextmanager
async def site(
    environ: dict[str, str], count: int, module: str = "tests.small_app"
) -> AsyncIterator[Site]:
    """A number of hosts with the same settings, including a bus."""
    hosts = [Host(environ, number, module) for number in range(1, count + 1)]
    listeners = listen(0)
    async with Proxy() as proxy:
        template = Template.parse(TEMPLATE)
        balancer = Balancer(hosts, proxy, lambda: template.stickiness)
        watching = asyncio.create_task(balancer.watch())
        async with serving(Edge(template, {SOCKET_HOST: balancer}).answer, listeners):
            for host in hosts:
                host.start()
            running = Site(listeners[0].getsockname()[1], hosts)
            try:
                await running.well()
                yield running
            finally:
                watching.cancel()
                await asyncio.gather(*(host.stop() for host in hosts))
