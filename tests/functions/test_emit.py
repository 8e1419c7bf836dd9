"""Functions reach connected sockets: in the cloud through SNS, on one machine by loopback."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from functions.contract.bus import MAX_BYTES, BusMessageError, encode_emit, loopback_token
from functions.web.emit import EmitError, Emitter
from functions.web.emitters import open_emitter
from socket_host.bus import Loopback, open_bus
from tests.kit import buses
from tests.kit.buses import Host
from tests.kit.hosts import PATIENCE, ROOT, SECRET


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """A stand-in for AWS."""
    with buses.aws():
        yield


@asynccontextmanager
async def host() -> AsyncIterator[Host]:
    """A host with a loopback."""
    alone = Host(open_bus("local"), "fast")
    alone.web.router.add_post("/bus", Loopback(alone.sio, SECRET).emit)
    async with alone.serving():
        yield alone


async def emit(setting: str, *values: Any, secret: str = SECRET, **options: Any) -> None:
    """Emit as a page would, without an event loop."""
    await asyncio.to_thread(open_emitter(setting, secret).emit, *values, **options)


async def test_page_reaches_sockets_on_its_machine() -> None:
    """A function's emit reaches the room with all its arguments."""
    async with host() as alone:
        client = await alone.client()
        received: list[tuple[Any, ...]] = []
        client.sio.on("news", lambda *values: received.append(values))
        for data in (None, [1], ("a", {"b": "é\ud800"})):
            await emit(f"{alone.url}bus", "news", data, room="plaza")
        await emit(f"{alone.url}bus", "news", "nobody", room="garden")
        await emit(f"{alone.url}bus", "end")
        await client.receive("end")
        assert received == [(), ([1],), ("a", {"b": "é\ud800"})]


@pytest.mark.usefixtures("aws")
async def test_page_reaches_sockets_on_every_host() -> None:
    """A function's emits reach the clients of all hosts through a topic, in order."""
    setting = buses.topic()
    async with buses.host(setting) as one, buses.host(setting) as other:
        clients = [await one.client(), await other.client()]
        emitter = open_emitter(setting, SECRET)
        for number in range(20):
            await asyncio.to_thread(emitter.emit, "news", number, room="plaza")
        for client in clients:
            assert [await client.receive("news") for _ in range(20)] == list(range(20))
        assert one.bus.health()["duplicates"] == 0


async def test_loopback_requires_the_secret() -> None:
    """A function without the session secret is refused with a reason."""
    async with host() as alone:
        client = await alone.client()
        with pytest.raises(EmitError, match="Only this host's functions may emit"):
            await emit(f"{alone.url}bus", "news", secret="another-secret-of-32-characters!")
        await emit(f"{alone.url}bus", "end")
        await client.receive("end")
        assert client.inbox.unread("news") == []


@pytest.mark.parametrize(
    ("peer", "status"), [("127.0.0.1", 413), ("::1", 413), ("10.0.0.7", 403), ("fe80::1", 403)]
)
async def test_loopback_is_for_this_machine(peer: str, status: int) -> None:
    """Another machine is refused, even with the secret, before the length is checked."""

    class Transport(asyncio.Transport):
        """A connection from an address that the test chooses."""

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (peer, 1) if name == "peername" else default

    headers = {"Authorization": f"Bearer {loopback_token(SECRET)}"}
    request = make_mocked_request("POST", "/bus", headers, transport=Transport())
    async with host() as alone:
        answer = await Loopback(alone.sio, SECRET).emit(request)
    assert answer.status == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b"[]", 400),
        (b'{"method":"disconnect","sid":"x"}', 400),
        (b'{"method":"emit","event":1,"data":[]}', 400),
        (b'{"method":"emit","event":"e","data":"d"}', 400),
        (b"x" * (MAX_BYTES + 1), 413),
    ],
)
async def test_loopback_takes_only_emits(body: bytes, status: int) -> None:
    """Anything but an emit of bounded size is refused with a reason."""
    headers = {"Authorization": f"Bearer {loopback_token(SECRET)}"}
    async with (
        host() as alone,
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{alone.url}bus", data=body) as answer,
    ):
        assert answer.status == status
        assert (await answer.text()).endswith(".\n")


async def test_absent_host_is_an_error() -> None:
    """If no host listens, the page gets an error at once."""
    async with host() as alone:
        address = f"{alone.url}bus"
    with pytest.raises(
        EmitError, match=r"'news' was not emitted: the socket host cannot be reached"
    ):
        await emit(address, "news")


async def test_hanging_host_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not answer delays a page only briefly."""
    monkeypatch.setattr("functions.web.emitters._LOOPBACK_SECONDS", 0.1)
    never = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(EmitError, match="timed out"):
        await asyncio.wait_for(emit(f"http://127.0.0.1:{port}/bus", "news"), PATIENCE)
    never.set()
    server.close()


@pytest.mark.parametrize(("takes", "tries"), [(0.1, 6), (5.0, 2)])
def test_page_with_many_messages(takes: float, tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a timeout, messages fail at once for as long as the timeout took; then one is tried."""
    clock = SimpleNamespace(now=1_000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("functions.web.emit.time", clock)

    class Silent(Emitter):
        tried = 0

        def _publish(self, message: str, sender: str) -> None:
            self.tried += 1
            clock.now += takes
            raise EmitError("nobody answered")

    emitter = Silent()
    for words in ("nobody answered", "a moment ago", "a moment ago") * 2:
        with pytest.raises(EmitError, match="nobody answered" if takes < 1 else words):
            emitter.emit("news")
        clock.now += takes / 2.5
    assert emitter.tried == tries


@pytest.mark.usefixtures("aws")
async def test_absent_sns_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """If SNS refuses or cannot be reached, the page gets an error with the reason."""
    with pytest.raises(EmitError, match=r"'news' was not emitted: the topic .* does not exist"):
        await emit("sns:arn:aws:sns:eu-west-1:123456789012:none.fifo", "news")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(EmitError, match="Could not connect"):
        await emit("sns:arn:aws:sns:eu-west-1:123456789012:none.fifo", "news")


async def test_unset_bus_is_an_error() -> None:
    """Without a setting pages are served, and only an emit raises an error."""
    with pytest.raises(EmitError, match=r"'news' was not emitted: BUS is not set"):
        await emit("", "news")


def test_data_that_cannot_be_sent_is_refused() -> None:
    """Data that is not JSON is an error before anything is connected."""
    with pytest.raises(BusMessageError, match="JSON"):
        open_emitter("http://127.0.0.1:1/bus", SECRET).emit("news", {1})


def test_reserved_event_is_refused() -> None:
    """An event that would end its recipients' connections is an error."""
    with pytest.raises(BusMessageError, match="The event 'connect' is reserved"):
        open_emitter("http://127.0.0.1:1/bus", SECRET).emit("connect")


@pytest.mark.parametrize(
    "setting", ["local", "http://example.com/bus", "https://127.0.0.1/bus", "redis:host", "sns:x"]
)
def test_malformed_setting_is_refused(setting: str) -> None:
    """A malformed setting is an error that shows the correct form."""
    with pytest.raises(ValueError, match="must be"):
        open_emitter(setting, SECRET)


def test_boto3_is_imported_for_the_first_emit_only() -> None:
    """A cold start does not import boto3, which takes longer than a page."""
    code = f"""
import sys
from functions.web.emitters import open_emitter
open_emitter("sns:arn:aws:sns:eu-west-1:123456789012:bus.fifo", {SECRET!r})
print("boto3" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_each_message_has_an_id_of_its_own() -> None:
    """Copies of a function restored from one snapshot use different ids."""
    ids = {encode_emit("news", 1, sender=sender).split(",")[0] for sender in ("a", "b")}
    assert ids == {'{"message_id":"a:1"', '{"message_id":"b:1"'}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda emitter: emitter.emit(5), "The event must be a string, not 5"),
        (lambda emitter: emitter.emit("", {}), "The event must be a string, not ''"),
        (lambda emitter: emitter.emit("news", room=["a"]), "The room must be a string, not .'a'."),
        (lambda emitter: emitter.emit("news", namespace="chat"), "must be a string that begins"),
        (lambda emitter: emitter.disconnect(None), "The visitor's id must be a string, not None"),
        (lambda emitter: emitter.announce(5), "The subject must be a string, not 5"),
    ],
)
def test_invalid_names(call: Any, words: str) -> None:
    """An invalid name is an error in the call."""
    with pytest.raises(BusMessageError, match=words):
        call(open_emitter("", SECRET))
