"""The load balancer's stand-in: distributes clients over several hosts, and keeps them there.

It uses a cookie, like the template's target group. The real one adds a second cookie, AWSALBCORS,
with the same value for pages of other sites, which the host refuses anyway.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Protocol

from aiohttp import ClientError, web

from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.policies import Headers
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.refusal import RefusedError

COOKIE = "AWSALB"
HEALTH_SECONDS = 0.25  # between two health checks of a host
_LEAVING = 503  # a host's health status while it drains


class Target(Protocol):
    """A host that may be down."""

    address: str | None
    why_away: str


class Balancer:
    """An origin that consists of several hosts.

    A client stays with its host while that is healthy; new clients, and those whose host is down or
    drains, are distributed over the others in turn. `stickiness` is the lifetime of the cookie in
    seconds, 0 for none.
    """

    sockets = True

    def __init__(
        self, hosts: Sequence[Target], proxy: Proxy, stickiness: Callable[[], float]
    ) -> None:
        self._hosts = hosts
        self._proxy = proxy
        self._stickiness = stickiness
        self._leaving: set[str] = set()  # addresses of hosts that drain or do not answer
        self._turn = count()

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the response of the client's host; raise RefusedError if no host is up."""
        number, address = self._choose(_number(request) if self._stickiness() else None)
        request = replace(request, headers=_forwarded(request.headers))
        response = await self._proxy.answer(viewer, request, address, self._cookie(number))
        if response.status == _LEAVING:
            self._leaving.add(address)
        return response

    async def watch(self) -> None:
        """Check the hosts' health, repeatedly."""
        while True:
            up = [host.address for host in self._hosts if host.address]
            await asyncio.gather(*map(self._ask, up))
            self._leaving &= set(up)
            await asyncio.sleep(HEALTH_SECONDS)

    def _choose(self, known: int | None) -> tuple[int, str]:
        up = {n: host.address for n, host in enumerate(self._hosts, 1) if host.address}
        # If all are draining, any is better than none.
        well = {n: a for n, a in up.items() if a not in self._leaving} or up
        if not well:
            raise RefusedError(502, "\n".join(host.why_away for host in self._hosts))
        number = known if known in well else list(well)[next(self._turn) % len(well)]
        return number, well[number]

    async def _ask(self, address: str) -> None:
        try:
            well = await self._proxy.status(f"{address}/health") == 200
        except (ClientError, TimeoutError):
            well = False
        (self._leaving.discard if well else self._leaving.add)(address)

    def _cookie(self, number: int) -> list[tuple[str, str]]:
        if seconds := self._stickiness():
            return [("Set-Cookie", f"{COOKIE}={number}; Max-Age={seconds:.0f}; Path=/")]
        return []


def _forwarded(headers: Headers) -> Headers:
    """Return the headers with the sender, the edge on this machine, added."""
    hops = [value for name, value in headers if name.lower() == "x-forwarded-for"]
    others = [header for header in headers if header[0].lower() != "x-forwarded-for"]
    return [*others, ("X-Forwarded-For", ", ".join([*hops, "127.0.0.1"]))]


def _number(request: OriginRequest) -> int | None:
    """Return the number of the host in a client's cookie, if it has one."""
    # Not by SimpleCookie, which finds no cookie at all if one of them is malformed.
    lines = [value for name, value in request.headers if name.lower() == "cookie"]
    for cookie in ";".join(lines).split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE and value.isascii() and value.isdecimal():
            return int(value[:3])
    return None
