"""If a site cannot be examined, one sentence says why."""

import asyncio
import socket
from pathlib import Path

import pytest

from scripts.commands.doctor.reach import UnreachableError, reach
from scripts.commands.doctor.site import Address, Site
from tests.scripts.dev.edges import PATIENCE, running
from tests.scripts.tls import https


async def unreachable(address: str, *, patience: float = PATIENCE) -> str:
    """Return the sentence that says why a site cannot be examined."""
    async with Site(Address.parse(address), patience=patience) as visited:
        with pytest.raises(UnreachableError) as raised:
            await reach(visited)
    return str(raised.value)


async def test_unknown_name() -> None:
    """A host name that does not exist is reported."""
    assert "the name nobody.invalid cannot be resolved" in await unreachable(
        "http://nobody.invalid"
    )


async def test_certificate_not_trusted(tmp_path: Path) -> None:
    """An untrusted certificate ends the examination, with the reason."""
    async with running() as edge, https(tmp_path, edge.port) as (port, _):
        output = await unreachable(f"https://localhost:{port}")
    assert "its certificate is not trusted: self-signed certificate" in output


async def test_https_of_an_http_site() -> None:
    """An https address of a plain http server is taken for a typing mistake."""
    async with running() as edge:
        output = await unreachable(f"https://localhost:{edge.port}")
    assert "it does not speak TLS" in output
    assert "Does the address start with http://?" in output


async def test_silence() -> None:
    """A server that accepts the connection but does not respond is given up on after a while."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert "no answer within 0.1 s" in await unreachable(address, patience=0.1)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"])
async def test_no_http(answer: bytes) -> None:
    """Another protocol, or a closed connection, causes a sentence and no traceback."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        output = await unreachable(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert output.endswith("Does the address start with https://?")


@pytest.mark.parametrize("text", ["localhost:3000", "ftp://a.test", "http://a.test/x", "http://"])
def test_no_address(text: str) -> None:
    """A text that is not a site's address is refused with a message."""
    with pytest.raises(ValueError, match="address"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "origin", "plain"),
    [
        ("https://D1.CloudFront.net/", "https://d1.cloudfront.net", "http://d1.cloudfront.net"),
        ("https://a.test:443", "https://a.test", "http://a.test"),
        ("https://a.test:8443", "https://a.test:8443", None),
        ("http://localhost:3000/", "http://localhost:3000", None),
    ],
)
def test_address(text: str, origin: str, plain: str | None) -> None:
    """An address is normalized to the origin as browsers write it."""
    assert Address.parse(text) == Address(origin, plain)
