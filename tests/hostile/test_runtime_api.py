"""No page in a developer's browser takes, answers or fails what the local function is asked."""

import socket

import aiohttp
import pytest

from scripts.commands.dev.invocation import Invocation
from scripts.commands.dev.runtime_api import serving

NEXT = "/2018-06-01/runtime/invocation/next"


class Environment:
    """One invocation, and what comes back."""

    def __init__(self) -> None:
        self.taken = 0
        self.received: list[bytes] = []

    async def next(self) -> Invocation:
        self.taken += 1
        return Invocation(b"{}", 10)

    def respond(self, id_: str, payload: bytes) -> None:
        self.received.append(payload)

    def report(self, id_: str, payload: bytes) -> None:
        self.received.append(payload)

    def report_init(self, payload: bytes) -> None:
        self.received.append(payload)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=lambda headers: next(iter(headers)),
)
async def test_pages_are_refused(headers: dict[str, str]) -> None:
    """Neither one of another site, nor one whose host name has come to mean this machine."""
    environment, listener = Environment(), socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serving(environment, listener), aiohttp.ClientSession() as http:
        address = f"http://127.0.0.1:{port}"
        async with http.get(address + NEXT, headers=headers) as response:
            assert response.status == 403
        for path in ("/invocation/1/response", "/invocation/1/error", "/init/error"):
            url = f"{address}/2018-06-01/runtime{path}"
            async with http.post(url, data="{}", headers=headers) as response:
                assert response.status == 403
        assert not environment.taken
        assert not environment.received
        async with http.get(address + NEXT) as response:
            assert response.status == 200
