"""A connection to Redis or Valkey.

Not the client library's, which is much slower. It uses RESP3: Redis 6 and later, and any Valkey.
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
_SILENCE_SECONDS = 10.0  # after which the server is pinged
_ROLE_SECONDS = 5.0  # after which the server is asked again whether it is still the primary

# A replica accepts messages, but passes them only to its own subscribers.
_REPLICA = "the server is a replica, which does not forward messages: use the primary's address"

# Messages not yet handled; above this, reading pauses.
_MAX_UNREAD = 1_000
_MAX_UNREAD_BYTES = 8 * 1024 * 1024

LARGEST = 2 * 1024 * 1024  # bytes of one message

# Of one reply or message. The connection is closed before a larger one has arrived, because the
# parser buffers all of it, and a server allows half a gigabyte.
_MAX_REPLY_BYTES = 4 * 1024 * 1024

# Called once, with the reply to the last command or an exception.
Answered = Callable[[Any], None]

# Called with the unhandled messages; takes any number of them from the left.
Taker = Callable[[deque[bytes]], None]


@dataclass(slots=True)
class _Call:
    """Commands that are waiting for their replies."""

    count: int  # of outstanding replies
    since: float
    done: Answered
    refusal: hiredis.ReplyError | None = None


class Connection(asyncio.Protocol):
    """Commands, replies and channels' messages, until the connection is lost.

    All methods raise OSError if the server refuses, does not answer in time or closes.
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
        except (OSError, UnicodeError) as error:  # the latter for a name that no host can have
            raise OSError(f"{address} cannot be reached ({error})") from error
        login = ("AUTH", address.username, address.password) if address.password else ()
        try:
            hello = await connection.ask("HELLO", "3", *login)
            if isinstance(hello, dict) and hello.get(b"role") in (b"replica", b"slave"):
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
        """Return the number of connections subscribed to a channel."""
        match await self.ask("PUBSUB", "NUMSUB", channel):
            case [_, int(count)]:
                return count
        raise OSError("the server is not Redis or Valkey")

    async def publish(self, channel: str, bodies: Sequence[bytes]) -> int:
        """Publish messages in order; return the number of connections that got the last one."""
        answer: asyncio.Future[int] = self._loop.create_future()
        self.publish_now(channel, bodies, partial(_settle, answer))
        return await answer

    def publish_now(self, channel: str, bodies: Sequence[bytes], done: Answered) -> None:
        """Start publishing; `done` is called with what `publish` would return or raise."""
        publish = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n" % (len(channel), channel.encode())
        commands = [b"%b$%d\r\n%b\r\n" % (publish, len(body), body) for body in bodies]
        self._call(b"".join(commands), len(bodies), done)

    async def listen(
        self, channel: str, own: bytes | None = None, take: Taker | None = None
    ) -> None:
        """Subscribe to a channel, whose messages `messages` then yields.

        Messages that begin with `own` are skipped, and so are those that `take` takes on arrival.
        `take` is called only while the consumer of `messages` waits for one.
        """
        self._own, self._take = own, take
        # RESP3 confirms with a push instead of a reply; the reply to the next command is enough.
        self._transport.write(_packed("SUBSCRIBE", channel))
        await self.listeners(channel)

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages; raise OSError when the connection is lost."""
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
        """Close the connection at once."""
        self._transport.abort()

    def _call(self, commands: bytes, count: int, done: Answered) -> None:
        if self._lost:
            done(self._lost)
            return
        self._calls.append(_Call(count, self._loop.time(), done))
        self._transport.write(commands)

    # One timer for all calls, because a timeout for each would be expensive.
    def _watch(self) -> None:
        """Ping a silent server, and close the connection to one that does not answer."""
        now = self._loop.time()
        if self._calls and not self._paused and now - self._calls[0].since >= _ANSWER_SECONDS:
            # A late reply would be taken for the reply to the next command.
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
        """Close the connection to a former primary: its name will soon resolve to the new one."""
        if isinstance(role, list) and role[:1] in ([b"slave"], [b"replica"]):
            self._lost = OSError(_REPLICA)
            self.close()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has another base class
        self._heard = self._loop.time()
        self._watching = self._loop.call_later(_ANSWER_SECONDS / 5, self._watch)

    def data_received(self, data: bytes) -> None:
        """Pass replies to their callers, and queue messages."""
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.PushNotification):
                    self._push(reply)
                else:
                    self._reply(reply)
        except (hiredis.ProtocolError, LookupError, TypeError, RecursionError):
            self._lost = OSError("the server is not Redis or Valkey")
            self.close()
        if self._reader.len() > _MAX_REPLY_BYTES:
            self._lost = OSError(f"a message has more than {_MAX_REPLY_BYTES} bytes")
            self.close()
        if self._unread:
            self._arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all waiting calls."""
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
            raise TypeError("a message that is not text")
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
            call.since = self._loop.time()  # this one is only now the next

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():  # cancelled
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _packed(*command: str | bytes) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # typed for a single word
    return packed
