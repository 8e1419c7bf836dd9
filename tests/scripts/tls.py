"""TLS in front of an edge, as with CloudFront, with a self-signed certificate."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@asynccontextmanager
async def https(
    folder: Path, edge_port: int, listener: socket.socket | None = None
) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """TLS in front of an edge: its port, and a client's context that trusts the certificate."""
    certificate = folder / "edge.pem"
    if not certificate.exists():
        write_certificate(certificate)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    client_side = ssl.create_default_context(cafile=str(certificate))

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", edge_port)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    listener = listener or socket.create_server(("127.0.0.1", 0))
    server = await asyncio.start_server(pass_on, sock=listener, ssl=server_side)
    try:
        yield server.sockets[0].getsockname()[1], client_side
    finally:
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the client has disconnected
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def write_certificate(file: Path) -> None:
    """Write a self-signed certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
