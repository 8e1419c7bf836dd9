"""Hosts of your own namespaces, and people who connect to them."""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

from aiohttp import ClientSession

from tests.kit.clients import Clients, JavaScriptClient, PythonClient, clients
from tests.kit.hosts import PATIENCE, HostProcess, token


class Host:
    """A running host; all its clients are disconnected at the end of the test."""

    def __init__(self, url: str, stack: AsyncExitStack, process: HostProcess | None = None) -> None:
        self.url = url
        self._stack = stack
        self._process = process
        self._clients: dict[str, Clients] = {}

    async def connect(
        self,
        name: str = "Visitor",
        *,
        namespace: str = "/",
        way: str = "websocket",
        claims: Mapping[str, Any] | None = None,
    ) -> PythonClient:
        """Return python-socketio's client, connected with the session of a person.

        Their id is their name in lower case. `way` is `websocket`, `polling` or `upgrade`.
        """
        session = token(name, claims=claims)
        client: PythonClient = await self._connect("python", session, namespace, way)
        return client

    async def connect_javascript(
        self,
        name: str = "Visitor",
        *,
        namespace: str = "/",
        way: str = "websocket",
        claims: Mapping[str, Any] | None = None,
    ) -> JavaScriptClient:
        """Return the official client under Node, which can `drop` and be `recovered`."""
        session = token(name, claims=claims)
        client: JavaScriptClient = await self._connect("javascript", session, namespace, way)
        return client

    async def knows(self, others: int) -> None:
        """Wait until the host's bus is healthy and connects it with this many other hosts."""
        async with asyncio.timeout(PATIENCE), ClientSession() as http:
            while (bus := await self._bus(http))["status"] != "ok" or bus["peers"] != others:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.05)

    async def _bus(self, http: ClientSession) -> dict[str, Any]:
        async with http.get(f"{self.url}/health") as answer:
            bus: dict[str, Any] = (await answer.json())["bus"]
            return bus

    async def kill(self) -> None:
        """Kill the host's process, as when memory runs out."""
        assert self._process, "only hosts from the fixture `hosts` can be killed"
        self._process.process.kill()
        await self._process.process.wait()

    def pause(self) -> None:
        """Pause the host's process, as when its machine is suspended."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the host's process."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process, "only hosts from the fixture `hosts` can be paused"
        self._process.process.send_signal(number)

    async def _connect(self, kind: str, session: str, namespace: str, way: str) -> Any:
        key = f"{kind} {way}"
        if key not in self._clients:
            entered = await self._stack.enter_async_context(clients(kind, way))
            self._clients[key] = entered
        return await self._clients[key].connect(self.url, session, namespace=namespace)


class StartHosts(Protocol):
    """The type of the fixture `hosts`."""

    async def __call__(self, count: int, **settings: str) -> list[Host]:
        """Start hosts on one bus, with changed settings if any are given."""
