"""A connection to Redis or Valkey.

Our own, because the client library takes several times as long for a message as the rest of the
host. It speaks RESP3: Redis 6 and later, and any Valkey.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

import hiredis

from functions.contract.redis_address import Address

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_SILENCE_SECONDS = 10.0  # after which the other end has to show that it is still there
_ROLE_SECONDS = 5.0  # after which the server is asked again whether it still is the primary

# A replica takes what is published, and tells nobody but those who listen to itself.
_REPLICA = "the server is a replica, which passes nothing on to the others"

# Messages not yet acted upon; with more we read no further for a while.
_MAX_UNREAD = 1_000
_MAX_UNREAD_BYTES = 8 * 1024 * 1024

LARGEST = 2 * 1024 * 1024  # bytes of one message

# Of one reply or message. The connection ends before a larger one has arrived: the library keeps
# all of it, and a server lets through half a gigabyte.
_MAX_REPLY_BYTES = 4 * 1024 * 1024

# Called once: with the reply to the last command, or with what went wrong.
Answered = Callable[[Any], None]

# Called with the messages nobody has acted upon; takes from them, from the left, what it will.
Taker = Callable[[deque[bytes]], None]


@dataclass(slots=True)
class _Call:
    """Commands that wait for their replies."""

    count: int  # of the replies still to come
    since: float
    done: Answered
    refusal: hiredis.ReplyError | None = None


class Connection(asyncio.Protocol):
    """Commands, their replies and the messages of channels, until it is lost.

    All methods raise OSError if the server refuses, does not answer in time or is gone.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._role_asked = self._loop.time()
        self._reader = hiredis.Reader()
        self._calls: deque[_Call] = deque()
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._own: bytes | None = None
        self._take: Taker | None = None
        self._waiting: asyncio.Future[None] | None = None  # for a message
        self._lost: Exception | None = None
        self._paused = False

    @classmethod
    async def open(cls, address: Address) -> Self:
        """Connect and log in."""
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context() if address.tls else None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    cls, address.host, address.port, ssl=context
                )
        except TimeoutError:
            raise TimeoutError(f"{address} did not answer in {_CONNECT_SECONDS:g} s") from None
        except OSError as error:
            raise OSError(f"{address} cannot be reached ({error})") from error
        login = ("AUTH", address.username, address.password) if address.password else ()
        try:
            told = await connection.ask("HELLO", "3", *login)
            if isinstance(told, dict) and told.get(b"role") in (b"replica", b"slave"):
                raise OSError(_REPLICA)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def is_open(self) -> bool:
        """Whether the connection is not known to be lost."""
        return self._lost is None

    async def ask(self, *command: str) -> Any:
        """Return the server's reply to a command."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._call(_packed(*command), 1, partial(_settle, answer))
        return await answer

    async def listeners(self, channel: str) -> int:
        """Return how many connections listen to a channel."""
        match await self.ask("PUBSUB", "NUMSUB", channel):
            case [_, int(count)]:
                return count
        raise OSError("what answers there is no Redis")

    async def publish(self, channel: str, bodies: Sequence[bytes]) -> int:
        """Publish messages, in their order; return how many connections got the last one."""
        answer: asyncio.Future[int] = self._loop.create_future()
        self.publish_now(channel, bodies, partial(_settle, answer))
        return await answer

    def publish_now(self, channel: str, bodies: Sequence[bytes], done: Answered) -> None:
        """Begin to publish; `done` is called with what `publish` returns or raises."""
        publish = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n" % (len(channel), channel.encode())
        commands = [b"%b$%d\r\n%b\r\n" % (publish, len(body), body) for body in bodies]
        self._call(b"".join(commands), len(bodies), done)

    async def listen(
        self, channel: str, own: bytes | None = None, take: Taker | None = None
    ) -> None:
        """Have `messages` yield what is published to a channel from now on.

        Messages that begin with `own` are left out. What `take` takes as soon as it arrives is too:
        it is asked only while whoever goes through `messages` waits for one.
        """
        self._own, self._take = own, take
        # RESP3 answers by a push, not a reply; that the next command is answered says the same.
        self._transport.write(_packed("SUBSCRIBE", channel))
        await self.listeners(channel)

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield what is published; end with an OSError when the connection is lost."""
        while True:
            while self._unread:
                body = self._unread.popleft()
                self._unread_bytes -= len(body)
                yield body
            if self._lost:
                raise self._lost
            if self._paused:
                self._resume()
            self._waiting = self._loop.create_future()
            await self._waiting

    def close(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _call(self, commands: bytes, count: int, done: Answered) -> None:
        if self._lost:
            done(self._lost)
            return
        self._calls.append(_Call(count, self._loop.time(), done))
        self._transport.write(commands)

    # One timer for all calls: a timeout for each would cost more than the rest of it.
    def _watch(self) -> None:
        """Ask a server that is silent for a sign of life, and give up one that does not answer."""
        now = self._loop.time()
        if self._calls and not self._paused and now - self._calls[0].since >= _ANSWER_SECONDS:
            # A reply that comes later would be taken for that to the next command.
            self._lost = TimeoutError(f"the server did not answer in {_ANSWER_SECONDS:g} s")
            self.close()
            return
        if not self._calls and now - self._heard >= _SILENCE_SECONDS:
            self._call(_packed("PING"), 1, lambda _: None)
        if not self._calls and now - self._role_asked >= _ROLE_SECONDS:
            self._role_asked = now
            self._call(_packed("ROLE"), 1, self._heed_role)
        self._watching = self._loop.call_later(_ANSWER_SECONDS / 5, self._watch)

    def _heed_role(self, role: Any) -> None:
        """Leave a server that another one has taken the place of; its name leads there soon."""
        if isinstance(role, list) and role[:1] in ([b"slave"], [b"replica"]):
            self._lost = OSError(_REPLICA)
            self.close()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._heard = self._loop.time()
        self._watching = self._loop.call_later(_ANSWER_SECONDS / 5, self._watch)

    def data_received(self, data: bytes) -> None:
        """Hand replies to whoever waits for them, and keep messages."""
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.PushNotification):
                    self._push(reply)
                else:
                    self._reply(reply)
        except (hiredis.ProtocolError, LookupError, TypeError, RecursionError):
            self._lost = OSError("what answers there is no Redis")
            self.close()
        if self._reader.len() > _MAX_REPLY_BYTES:
            self._lost = OSError(f"a message has more than {_MAX_REPLY_BYTES} bytes")
            self.close()
        if self._unread:
            self._arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait."""
        self._watching.cancel()
        self._lost = self._lost or exc or ConnectionResetError("the server closed the connection")
        for call in self._calls:
            call.done(self._lost)
        self._wake()

    def _reply(self, reply: Any) -> None:
        call = self._calls[0]
        if isinstance(reply, hiredis.ReplyError):
            call.refusal = reply
        call.count -= 1
        if not call.count:
            self._calls.popleft()
            refusal = call.refusal
            call.done(reply if refusal is None else OSError(f"the server refused: {refusal}"))

    def _push(self, push: list[Any]) -> None:
        if push[0] != b"message":
            return
        body = push[2]
        if not isinstance(body, bytes):
            raise TypeError("a message that is no text")
        if self._own is None or not body.startswith(self._own):
            self._unread.append(body)
            self._unread_bytes += len(body)

    def _arrived(self) -> None:
        if self._take is not None and self._waiting is not None:
            self._take(self._unread)
            self._unread_bytes = sum(map(len, self._unread)) if self._unread else 0
        if self._unread:
            self._wake()
        full = len(self._unread) > _MAX_UNREAD or self._unread_bytes > _MAX_UNREAD_BYTES
        if full and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        for call in self._calls:
            call.since = self._loop.time()  # it may have been answered long ago

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():  # nobody waits for it any more
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _packed(*command: str | bytes) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its type says: one word
    return packed
