"""The bus over Redis and Valkey: logins, and faults of the server."""

import asyncio
import datetime
import ipaddress
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.contract.bus import encode_emit
from functions.contract.redis_address import Address
from socket_host.bus import redis_connection
from socket_host.bus.redis_connection import Connection
from tests.kit import buses
from tests.kit.buses import Host, Redis
from tests.kit.hosts import PATIENCE
from tests.kit.waiting import until


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """A real server."""
    async with buses.redis(tmp_path) as server:
        yield server


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time that hosts wait for an unreachable bus."""
    monkeypatch.setattr("socket_host.bus.shared.START_SECONDS", 0.5)
    monkeypatch.setattr("socket_host.bus.shared.FLUSH_SECONDS", 0.5)


async def receives(speaker: Host, listener: Host) -> None:
    """Assert that one host's emit reaches the other's clients."""
    client = await listener.client()
    await speaker.sio.emit("news", "hello")
    assert await client.receive("news") == "hello"


async def test_password(tmp_path: Path) -> None:
    """A host logs in with the password in its setting, and the username if there is one."""
    user = ["--user", "host", "on", ">s3cret/", "~*", "&*", "+@all"]
    async with buses.redis(tmp_path, "--requirepass", "s3cret", *user) as redis:
        for login in (":s3cret", "host:s3cret%2F"):
            setting = f"valkey://{login}@127.0.0.1:{redis.port}/0"
            async with buses.host(setting) as one, buses.host(setting) as other:
                await receives(one, other)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    ("login", "words"), [("", "NOAUTH"), (":wrong@", "WRONGPASS"), ("mute:x@", "NOPERM")]
)
async def test_refused_login_is_reported(tmp_path: Path, login: str, words: str) -> None:
    """A host whose login or channel is refused is degraded, with the server's reason."""
    user = ["--user", "mute", "on", ">x", "resetchannels", "+@all"]
    async with (
        buses.redis(tmp_path, "--requirepass", "s3cret", *user) as redis,
        buses.host(f"redis://{login}127.0.0.1:{redis.port}") as host,
    ):
        await host.sio.emit("news")
        await until(lambda: host.bus.health().get("why", "").count(words) == 2)


async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rediss:// the server must have a certificate that this machine trusts."""
    certificate, key = make_certificate(tmp_path)
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    trust = ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    redis = Redis(tmp_path)
    redis._options += ["--tls-port", str(redis.port), "--port", "0", *files, *trust]
    await redis.start()
    setting = f"rediss://127.0.0.1:{redis.port}"
    try:
        with monkeypatch.context() as hurry:
            hurry.setattr("socket_host.bus.shared.START_SECONDS", 0.5)
            async with buses.host(setting) as host:
                await until(lambda: "certificate verify failed" in host.bus.health().get("why", ""))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with buses.host(setting) as one, buses.host(setting) as other:
            await receives(one, other)
    finally:
        await redis.stop()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sidepath test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.usefixtures("hurry")
async def test_replica_is_not_used(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host does not publish to a replica, which would not forward the message."""
    monkeypatch.setattr(redis_connection, "_ROLE_SECONDS", 3_600)  # noticed at the start
    (tmp_path / "replica").mkdir()
    follow = ("--replicaof", "127.0.0.1", str(redis.port))
    async with (
        buses.redis(tmp_path / "replica", *follow) as replica,
        buses.host(replica.setting) as host,
    ):
        await until(lambda: "is a replica" in host.bus.health().get("why", ""))


async def run(server: Redis, command: str) -> None:
    """Run a command on a server, as its operator."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{command}\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readline()).startswith(b"+OK")
    writer.close()


async def test_primary_that_becomes_a_replica(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host leaves a server that has been replaced by another, and loses no messages."""
    monkeypatch.setattr(redis_connection, "_ROLE_SECONDS", 0.1)
    (tmp_path / "other").mkdir()
    async with (
        buses.redis(tmp_path / "other") as other,
        buses.host(redis.setting) as one,
        buses.host(redis.setting) as two,
    ):
        await receives(one, two)
        await run(redis, f"REPLICAOF 127.0.0.1 {other.port}")
        await until(
            lambda: all("is a replica" in h.bus.health().get("why", "") for h in (one, two))
        )
        client = await two.client()
        await one.sio.emit("news", "meanwhile")
        await run(redis, "REPLICAOF NO ONE")
        assert await client.receive("news") == "meanwhile"


@pytest.mark.usefixtures("hurry")
async def test_server_that_is_not_redis() -> None:
    """A server that is not Redis is reported as such."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, buses.host(f"redis://127.0.0.1:{port}") as host:
        await until(lambda: "not Redis" in host.bus.health().get("why", ""))


async def test_failure_that_is_not_expected(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails in a bus fails for a moment: the host goes on to hear, and to send."""
    async with buses.host(redis.setting) as one, buses.host(redis.setting) as other:
        await receives(one, other)
        fails = iter([True])

        def failing(works: Any) -> Any:
            def call(*arguments: Any) -> Any:
                if next(fails, False):
                    raise RuntimeError("a bug")
                return works(*arguments)

            return call

        monkeypatch.setattr(other.bus._inbox, "read", failing(other.bus._inbox.read))
        one.bus.announce("a", "subject")
        await until(lambda: "a bug" in caplog.text)
        await until(lambda: other.bus.health()["status"] == "ok")
        await receives(one, other)
        fails = iter([True])
        one.bus._publisher = None
        monkeypatch.setattr(one.bus, "_send", failing(one.bus._send))
        await receives(one, other)
        assert caplog.text.count("A part of the bus failed.") == 2


async def test_name_that_no_host_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an address like others that cannot be reached."""
    monkeypatch.setattr("socket_host.bus.shared.START_SECONDS", 0.1)
    async with buses.host(f"redis://{'x' * 70}") as host:
        await until(lambda: "cannot be reached" in host.bus.health().get("why", ""))


async def test_silent_server_is_noticed(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts connections but does not answer counts as down until it answers."""
    monkeypatch.setattr(redis_connection, "_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(redis_connection, "_SILENCE_SECONDS", 0.1)
    async with buses.host(redis.setting) as one, buses.host(redis.setting) as other:
        client = await other.client()
        redis.signal(signal.SIGSTOP)
        await one.sio.emit("news", "late")
        await until(lambda: one.bus.health().get("why", "").count("did not answer") == 2)
        redis.signal(signal.SIGCONT)
        assert await client.receive("news") == "late"
        await until(lambda: other.bus.health()["status"] == "ok")


async def test_hosts_wait_for_each_other(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage, the first host waits with its messages until the others have subscribed."""
    async with buses.host(redis.setting) as one, buses.host(redis.setting) as other:
        client = await other.client()
        await one.sio.emit("news", "before")
        await client.receive("news")
        monkeypatch.setattr(other.bus._incoming, "pause", lambda: asyncio.sleep(0.5))
        await redis.stop()
        await one.sio.emit("news", "meanwhile")
        await redis.start()
        assert await client.receive("news") == "meanwhile"


async def test_silent_host_waits_for_others_too(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that had not published before the outage waits for the others too."""
    async with buses.host(redis.setting) as one, buses.host(redis.setting) as other:
        client = await other.client()
        monkeypatch.setattr(other.bus._incoming, "pause", lambda: asyncio.sleep(0.5))
        await redis.stop()
        await until(lambda: one.bus.health()["status"] == "degraded")
        await redis.start()
        await until(lambda: one.bus.health()["status"] == "ok")
        await one.sio.emit("news", "first")
        assert await client.receive("news") == "first"


async def test_slow_host_misses_nothing(redis: Redis) -> None:
    """A host that is busy with one message reads the others later, in bounded memory."""
    async with buses.host(redis.setting) as one, buses.host(redis.setting) as other:
        leaves, stays = [await other.client() for _ in "ab"]
        goodbye = asyncio.Event()

        async def disconnect(*_: Any) -> None:
            await goodbye.wait()

        other.sio.on("disconnect", disconnect)
        await one.sio.disconnect(other.sids[0])
        many = 5_000
        for number in range(many):
            await one.sio.emit("news", number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: one.bus.health()["waiting"] == 0)
        await until(lambda: other.bus._connection._paused)
        goodbye.set()
        assert [await stays.receive("news") for _ in range(many)] == list(range(many))
        await leaves.receive("disconnect")


async def test_emit_is_written_at_once(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle host writes an emit to Redis at once, and the next one after the reply."""
    async with buses.host(redis.setting) as one, buses.host(redis.setting) as other:
        await receives(one, other)
        await until(lambda: one.bus.health()["waiting"] == 0)
        written: list[int] = []
        publish = Connection.publish_now

        def publish_now(self: Connection, channel: str, bodies: Any, done: Any) -> None:
            written.append(len(bodies))
            publish(self, channel, bodies, done)

        monkeypatch.setattr(Connection, "publish_now", publish_now)
        for number in range(10):
            await one.sio.emit("news", number)
        assert written == [1]
        await until(lambda: one.bus.health()["waiting"] == 0)
        assert written == [1, 9]


async def test_slow_host_does_not_lose_its_connection(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that stops reading for a while does not consider the server silent."""
    monkeypatch.setattr(redis_connection, "_MAX_UNREAD", 1)
    async with buses.host(redis.setting) as one, buses.host(redis.setting) as other:
        goodbye = asyncio.Event()

        async def disconnect(*_: Any) -> None:
            await goodbye.wait()

        await other.client()
        other.sio.on("disconnect", disconnect)
        await receives(other, one)
        await one.sio.disconnect(other.sids[0])
        for number in range(5):
            await one.sio.emit("news", number)
        await until(lambda: other.bus._connection._paused)
        await other.sio.emit("unanswered")
        connection = other.bus._connection
        connection._calls[0].since -= 60  # seconds: much longer than an answer may take
        connection._watch()
        goodbye.set()
        await until(lambda: other.bus.health()["waiting"] == 0)
        assert other.bus._connection is connection
        assert connection.is_open


async def test_messages_of_other_programs(redis: Redis) -> None:
    """Messages of python-socketio's managers are applied; anything else is ignored."""
    async with buses.host(redis.setting) as host:
        client = await host.client()
        program = await Connection.open(Address.parse(redis.setting))
        theirs = json.loads(encode_emit("news", "theirs", room="plaza", sender="them"))
        del theirs["message_id"]
        nonsense = [b"\xff", b"[1]", b"{}", b'{"message_id":1}', b'{"message_id":"x"}', b"null"]
        again = encode_emit("news", "again", sender="page").encode()
        await program.publish("socketio", [*nonsense, json.dumps(theirs).encode(), again, again])
        assert await client.receive("news") == "theirs"
        assert await client.receive("news") == "again"
        await until(lambda: host.bus.health()["duplicates"] == 1)
        program.close()


def test_it_runs_on_uvloop(tmp_path: Path) -> None:
    """The bus works on uvloop, which has its own transports."""

    async def outage() -> None:
        async with buses.redis(tmp_path) as redis:
            setting = redis.setting
            async with buses.host(setting) as one, buses.host(setting) as other:
                await receives(one, other)
                await redis.stop()
                await one.sio.emit("late")
                await redis.start()
                await receives(other, one)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(outage(), 2 * PATIENCE))
