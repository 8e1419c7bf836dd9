"""The addresses that a host listens on."""

import asyncio
import socket
from pathlib import Path

import pytest

from functions.web.emitters import open_emitter
from tests.kit.hosts import SECRET, serving


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the system does not have both")
async def test_all_addresses(tmp_path: Path) -> None:
    """`::` is IPv6 and IPv4; a function on the host's machine may emit by either."""
    async with serving(tmp_path, bind="::") as host:
        for address in ("[::1]", "127.0.0.1"):
            emitter = open_emitter(f"http://{address}:{host.port}/bus", SECRET)
            await asyncio.to_thread(emitter.emit, "news")
