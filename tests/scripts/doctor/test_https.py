"""Doctor checks https, and plain http beside it."""

import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from scripts.commands.doctor import redirects
from scripts.commands.doctor.checks import PAGES, REDIRECTS
from scripts.commands.doctor.finding import OK
from scripts.commands.doctor.site import Address
from tests.scripts.doctor.findings import examined
from tests.scripts.doctor.ports import unused_port
from tests.scripts.doctor.sites import answering, drop, secure, site
from tests.scripts.tls import https


async def test_https(tmp_path: Path) -> None:
    """Over https all checks pass, including HSTS and the Secure cookie."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(
            site(tmp_path, change=secure, origins=(f"https://localhost:{port}",))
        )
        _, trust = await stack.enter_async_context(https(tmp_path, edge.port, listener))
        findings = await examined(f"https://localhost:{port}", tls=trust)
    assert findings.failed == set()
    assert {"hsts", "session-cookie"} <= findings.with_outcome(OK)


async def test_insecure_https(tmp_path: Path) -> None:
    """A cookie without Secure, no HSTS, and pages on plain http are found."""
    change = drop("strict-transport-security")
    async with site(tmp_path, change=change) as edge, https(tmp_path, edge.port) as (port, trust):
        address = replace(Address.parse(f"https://localhost:{port}"), plain=edge.url)
        findings = await examined(address, PAGES, REDIRECTS, tls=trust)
    assert findings.failed == {"session-cookie", "https", "hsts"}
    assert "is not Secure." in findings.words("session-cookie")
    assert "redirect-to-https" in findings.words("https")


async def test_plain_http() -> None:
    """Plain http may redirect to https, or not exist."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": f"https://a.test{request.path}"})

    async with answering(handler) as visited:
        visited.address = Address("https://a.test", visited.address.origin)
        assert await redirects.http_to_https(visited) == "Plain http redirects to https."
        visited.address = Address("https://a.test", f"http://127.0.0.1:{unused_port()}")
        assert await redirects.http_to_https(visited) == "Nothing answers on plain http."


async def test_secure_cookie_over_http(tmp_path: Path) -> None:
    """A Secure cookie on plain http, which browsers do not send back, is found."""
    async with site(tmp_path, change=secure) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"session-cookie"}
    assert "STAGE=development" in findings.words("session-cookie")
