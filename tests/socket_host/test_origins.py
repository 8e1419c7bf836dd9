"""The origin check, and other checks of requests for the socket path."""

import logging
from pathlib import Path

import aiohttp
import pytest

from socket_host.app import SocketHost
from tests.kit.hosts import ORIGIN, on_each_transport, serving, url

pytestmark = on_each_transport

OPEN = {"EIO": "4", "transport": "polling"}


async def get(host: SocketHost, path: str = "/socket.io/", **headers: str) -> tuple[int, str]:
    """Open a connection by polling; return the status and the body."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(url(host) + path, params=OPEN, headers=headers) as answer,
    ):
        cors = {name: value for name, value in answer.headers.items() if "Access" in name}
        assert "*" not in cors.values()
        return answer.status, await answer.text()


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io"])
@pytest.mark.parametrize("headers", [{"Origin": ORIGIN}, {}], ids=["page", "program"])
async def test_own_pages_connect(
    path: str, headers: dict[str, str], transport: str, tmp_path: Path
) -> None:
    """The site's pages and other programs can connect, at both spellings of the path."""
    async with serving(tmp_path, transport=transport) as host:
        status, body = await get(host, path, **headers)
        assert status == 200
        assert body.startswith('0{"sid":')


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io"])
async def test_websocket_path(path: str, transport: str, tmp_path: Path) -> None:
    """A websocket opens at both spellings of the path."""
    async with (
        serving(tmp_path, transport=transport) as host,
        aiohttp.ClientSession() as http,
        http.ws_connect(
            f"{url(host)}{path}?EIO=4&transport=websocket", headers={"Origin": ORIGIN}
        ) as websocket,
    ):
        assert (await websocket.receive_str()).startswith('0{"sid":')


FOREIGN = [
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": "*"},
    {"Origin": ORIGIN.replace("https", "http")},
    {"Origin": ORIGIN + ":8443"},
    {"Origin": ORIGIN.replace("https", "ws")},
    {"Origin": "capacitor://sidepath.test"},
    {"Origin": ORIGIN + ".evil.test"},
    {"Origin": "https://evil.test", "Host": "evil.test"},
    {
        "Origin": "https://evil.test",
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Proto": "https",
    },
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: " ".join(headers.values()))
async def test_other_pages_do_not(
    headers: dict[str, str], transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another origin's page is refused, whatever its other headers; the log names the setting."""
    async with serving(tmp_path, transport=transport) as host:
        status, body = await get(host, **headers)
        assert status == 403
        assert ORIGIN not in body.replace(headers["Origin"], "")
        assert await get(host, **headers) == (status, body)
    (record,) = [r for r in caplog.records if r.name == "socket_host.origin"]
    assert record.levelno == logging.WARNING
    assert f"PUBLIC_ORIGIN is {ORIGIN}" in record.getMessage()
    assert repr(headers["Origin"]) in record.getMessage()


@pytest.mark.parametrize(
    "origin", ["wss://sidepath.test", "WSS://Sidepath.test:443/", "capacitor://localhost"]
)
async def test_programs_with_an_origin(origin: str, transport: str, tmp_path: Path) -> None:
    """Origins as sent by other programs are normalized, and apps have their own schemes."""
    origins = (ORIGIN, "capacitor://localhost")
    async with serving(tmp_path, transport=transport, origins=origins) as host:
        assert (await get(host, Origin=origin))[0] == 200
        assert (await get(host, Origin=origin.replace("s", "x")))[0] == 403


async def test_other_pages_open_no_websocket(transport: str, tmp_path: Path) -> None:
    """Browsers let any page open a websocket, so the host refuses it."""
    async with serving(tmp_path, transport=transport) as host, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(
                f"{url(host)}/socket.io/?EIO=4&transport=websocket",
                headers={"Origin": "https://evil.test"},
            )
        assert refused.value.status == 403


async def test_log_of_refusals_is_bounded(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Made-up origins cannot fill the log."""
    async with serving(tmp_path, transport=transport) as host:
        for number in range(150):
            assert host.admission.check(f"https://{number}.test", opens=True, connections=0)
    assert len([r for r in caplog.records if r.name == "socket_host.origin"]) == 100


async def test_other_paths_are_not_found(transport: str, tmp_path: Path) -> None:
    """The host serves nothing but sockets and its health."""
    async with serving(tmp_path, transport=transport) as host:
        for path in ("/", "/socket.iox/", "/socket.io/x", "/SOCKET.IO/"):
            assert (await get(host, path))[0] == 404
