"""The Socket.IO server: handles the packets that clients send.

It has python-socketio's public interface, with this host's own sessions, rooms and fan-out
underneath.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types

from functions.contract.bus import RESERVED_EVENTS
from socket_host.transport.hooks import FAILURES
from socket_host.transport.limits import Limits
from socket_host.transport.memory import size_of
from socket_host.transport.native.acceptor import Acceptor
from socket_host.transport.native.client import Client
from socket_host.transport.native.connecting import ConnectingServer
from socket_host.transport.native.encoding import arguments_of
from socket_host.transport.native.engine_server import EngineServer
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.manager import FanOut
from socket_host.transport.native.message import Message
from socket_host.transport.native.reasons import PacketError
from socket_host.transport.native.recovery import Recovery
from socket_host.transport.native.refusal import Refusal, forbidden
from socket_host.transport.native.rooms import Member, Stage
from socket_host.transport.native.socket_packet import (
    ACK,
    BINARY_EVENT,
    CONNECT,
    DISCONNECT,
    EVENT,
    Packet,
    Partial,
    parse,
    plain_event,
)
from socket_host.transport.versions import check_versions

_CONNECT_PACKETS = 15  # charged for a CONNECT in addition to itself, for what it costs

_SMALL_ANSWER = 1_024  # bytes; smaller answers are covered by the limit on events
_TOO_LARGE = {"error": "The answer is too large to be sent."}
_NOT_JSON = {"error": "The answer cannot be sent as JSON."}


def _is_for_handlers(event: Any) -> bool:
    # A client must not be able to call the handler of `disconnect`, for example. Namespace objects
    # check events themselves.
    return isinstance(event, str) and event not in RESERVED_EVENTS


def _may_be_event(client: Client, data: str | bytes) -> bool:
    return client.partial is not None or data[:1] in (EVENT, BINARY_EVENT)


def _known_options() -> set[str]:
    classes = (socketio.AsyncServer, *socketio.AsyncServer.__mro__, *EngineServer.__mro__)
    signatures = [inspect.signature(one.__init__) for one in classes if one is not object]
    return {name for signature in signatures for name in signature.parameters} - {"self", "kwargs"}


def _check_options(options: Mapping[str, Any]) -> None:
    """Raise TypeError for options that python-socketio accepts but this server would ignore."""
    if unknown := options.keys() - _known_options() - {"engineio_logger"}:
        raise TypeError(f"SocketServer has no option {min(unknown)!r}.")
    if options.get("async_mode") not in (None, "aiohttp"):
        raise TypeError("SocketServer always runs on aiohttp: leave async_mode out.")
    if options.get("monitor_clients") is False:
        raise TypeError("SocketServer always monitors its clients: leave monitor_clients out.")


class SocketServer(ConnectingServer):
    """`socketio.AsyncServer` on this host's transport.

    It takes the same options, except for a few that raise TypeError, and three more. `limits` apply
    to each connection, unless an option overrides them. `admit` is called for every request, with
    whether it would open a session, and returns a Refusal or None; if it is given, it alone decides
    about origins. `recovery` lets clients that reconnect resume their sessions.

    Raises VersionError if the installed python-socketio is not the expected version.
    """

    manager_initialized: bool

    def __init__(
        self,
        client_manager: FanOut | None = None,
        limits: Limits | None = None,
        admit: Callable[[Head, Environ, bool], Refusal | None] | None = None,
        recovery: Recovery | None = None,
        **options: Any,
    ) -> None:
        check_versions()
        if client_manager is not None and not isinstance(client_manager, FanOut):
            raise TypeError(
                "The client manager must also be a FanOut: write "
                "class Manager(socketio.AsyncRedisManager, FanOut)."
            )
        _check_options(options)
        super().__init__(limits, recovery, client_manager=client_manager or FanOut(), **options)
        self._admit = admit
        # The tasks that answer events, by the id of the events' arguments, which live as long. On
        # Python 3.11 that is faster than `current_task`.
        self._running: dict[int, asyncio.Task[None]] = {}
        self._logged_too_large = False
        # Kept because `get_running_loop` makes a system call on Python 3.11.
        self._loop: asyncio.AbstractEventLoop | None = None

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    def acceptor(self, http: Callable[[], asyncio.BaseProtocol], *paths: str) -> Acceptor:
        """Return the protocol factory for the listening socket.

        Websockets for `paths` come to this server. Everything else goes to a protocol that `http`
        makes, such as aiohttp's `AppRunner.server`.
        """
        return Acceptor(self.eio.engine, frozenset(paths), http)

    # What the engine calls

    def refusal(self, head: Head, environ: Environ, opens: bool) -> Refusal | None:
        """Return why to refuse a request, or None."""
        if self._admit is not None:
            return self._admit(head, environ, opens)
        origin = head.headers.get("origin")
        if origin is None or self.eio.cors_allowed_origins == []:
            return None
        allowed = self.eio._cors_allowed_origins(environ)
        return None if allowed is None or origin in allowed else forbidden()

    def opened(self, client: Client) -> None:
        """Do what python-socketio does for a new session."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        handler = self.eio.handlers["connect"]
        if handler != self._handle_eio_connect:  # the admin interface has replaced it
            self.eio.engine.run(handler(client.sid, client.environ))
        elif not self.manager_initialized:
            self.manager_initialized = True
            self.manager.initialize()
        self.environ[client.sid] = client.environ

    def expired(self, client: Client) -> bool:
        """Return whether a client's session has expired in any of its namespaces."""
        for name, member in client.members.items():
            hooks = self.hooks.get(name)
            if hooks is not None and hooks.expired(member.sid):
                return True
        return False

    async def closed(self, client: Client, reason: str) -> None:
        """Run the disconnect handlers, after connect handlers that are still running."""
        client.notify_read()  # it reads no more, so nothing should wait for that
        if (leaving := self._leaving.get(client)) is not None and not leaving.done():
            leaving.set_result(None)
        while client.busy is not None:
            await asyncio.wait([client.busy])
        client.partial = None
        await self.eio.handlers["disconnect"](client.sid, reason)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        client = self.eio.engine.clients[eio_sid]
        for namespace in list(client.members):
            await self._handle_disconnect(eio_sid, namespace, reason)
        self.environ.pop(eio_sid, None)

    async def _handle_disconnect(
        self, eio_sid: str, namespace: str, reason: str | None = None
    ) -> None:
        member = self.eio.engine.clients[eio_sid].members[namespace]
        connected = member.stage is Stage.CONNECTED
        owner = self._owner(member.sid, namespace) if connected and reason else ""
        member.stage = Stage.LEAVING
        try:
            if connected:
                await self._trigger_event(
                    "disconnect", namespace, member.sid, reason or self.reason.CLIENT_DISCONNECT
                )
        except FAILURES:
            self.logger.exception("A disconnect handler failed.")
        finally:
            # After the handler, which may leave rooms or save the session.
            disconnected = None
            if connected and reason:
                disconnected = self._disconnected_session(member, reason, owner)
            await self.manager.disconnect(member.sid, namespace, ignore_queue=True)
            if disconnected is not None and self.recovery is not None:
                self.recovery.keep(disconnected)

    def received(self, client: Client, data: str | bytes) -> None:
        """Handle a client's message; raises PacketError."""
        if client.inbox is not None:
            client.collect(data)
        else:
            self._receive(client, data)

    def _receive(self, client: Client, data: str | bytes) -> None:
        if self._custom_packets:
            self._run_in_order(client, self._handle_eio_message(client.sid, data))
        elif not client.joined and data[:1] != CONNECT:
            raise PacketError("not a CONNECT, and in no namespace")
        elif client.write is None and client.behind and _may_be_event(client, data):
            self._run_in_order(client, self._receive_later(client, data))
        elif client.partial is None and isinstance(data, str) and (event := plain_event(data)):
            self._event(client, "/", *event)
        elif packet := self._packet(client, data):
            self._handle_packet(client, packet)

    def _handle_packet(self, client: Client, packet: Packet) -> None:
        if packet.kind == CONNECT:
            client.uncharged += _CONNECT_PACKETS
            self._connect(client, packet.namespace, packet.data)
        elif packet.namespace not in client.members:
            pass  # sent before the client learned that it is no longer a member
        elif packet.kind == EVENT:
            self._event(client, packet.namespace, packet.ack, packet.data)
        elif packet.kind == DISCONNECT:
            self._run_in_order(client, self._handle_disconnect(client.sid, packet.namespace))
        elif packet.kind == ACK and packet.ack in self.manager.callbacks.get(
            client.members[packet.namespace].sid, ()
        ):
            self._run_in_order(
                client,
                self._handle_ack(client.sid, packet.namespace, packet.ack, packet.data),
            )

    def _packet(self, client: Client, data: str | bytes) -> Packet | None:
        """Return the packet that `data` is or completes; None if attachments are missing."""
        if client.partial is not None:
            packet: Packet | None = client.partial.add(data)
            if packet is not None:
                client.partial = None
                self.eio.engine.input.release((client, "attachments"))
                return packet
        else:
            packet = parse(data if isinstance(data, str) else "")
            if not packet.attachments:
                return packet
            client.partial = Partial(str(data), packet, self.eio.engine.limits.payload)
        engine = self.eio.engine
        engine.input.hold(
            (client, "attachments"), client.partial.size, partial(engine.evict, client)
        )
        return None

    def _event(self, client: Client, namespace: str, ack: int | None, arguments: list[Any]) -> None:
        member: Any = client.members.get(namespace)
        if member is None or member.stage is not Stage.CONNECTED:
            return  # sent before the client learned that it is no longer, or not yet, a member
        hooks = self.hooks.get(namespace)
        if hooks is None:
            if namespace not in self.namespace_handlers and not _is_for_handlers(arguments[0]):
                raise PacketError("not the name of an event")
        elif (refusal := hooks.begin_event(member.sid, arguments[0])) is not None:
            if ack is not None:
                member.send(self.message(ACK, namespace, ack, [refusal]))
            return
        answer = self._answer(member, ack, arguments)
        if not self.async_handlers:
            self._run_in_order(client, answer)
        elif sys.version_info >= (3, 12):
            # Starts at once, since most handlers end without waiting for anything.
            task = asyncio.Task(answer, loop=self._loop, eager_start=True)
            if not task.done():
                self._running[id(arguments)] = task
        else:
            # Named, because generating a name takes time.
            task = asyncio.Task(answer, loop=self._loop, name="event")
            self._running[id(arguments)] = task

    async def _receive_later(self, client: Client, data: str | bytes) -> None:
        """Handle a message once its client has read most of its data; read nothing until then.

        Until then it is kept as it came, because it takes far more memory when parsed.
        """
        await client.caught_up(sys.getsizeof(data))
        if not client.closing:
            self._receive(client, data)

    async def _answer(self, member: Member, ack: int | None, arguments: list[Any]) -> None:
        namespace = member.namespace.name
        client = member.client
        try:
            if client.write is None and client.behind:
                # Answers to earlier events may have been sent since.
                await client.caught_up(size_of(arguments))
            result = self._trigger_event(arguments[0], namespace, member.sid, *arguments[1:])
            del arguments[1:]  # what the handler does not need is freed while it waits
            result = await result
            if ack is not None and result is not self.not_handled and not client.closing:
                try:
                    message = self.message(ACK, namespace, ack, list(arguments_of(result)))
                except (TypeError, ValueError) as error:
                    self.logger.error(
                        "The answer to %.100r was not sent; the client got an error instead. %s",
                        arguments[0],
                        error,
                    )
                    message = self.message(ACK, namespace, ack, [_NOT_JSON])
                if len(message.frames) > _SMALL_ANSWER:
                    message = self._large_answer(namespace, ack, message, arguments[0])
                member.send(message)
        except FAILURES:
            self.logger.exception("The handler of %.100r failed.", arguments[0])
        finally:
            self._running.pop(id(arguments), None)

    def _large_answer(self, namespace: str, ack: int, message: Message, event: Any) -> Message:
        """Count a large answer; return it, or an error in its place if it is too large."""
        size = len(message.frames)
        if size > self.eio.engine.limits.answer:
            self._note_too_large(event, size)
            message = self.message(ACK, namespace, ack, [_TOO_LARGE])
        if (hooks := self.hooks.get(namespace)) is not None:
            hooks.count_answer(size)
        return message

    def _note_too_large(self, event: Any, size: int) -> None:
        """Log the first answer that is too large; clients can cause more at will."""
        if not self._logged_too_large:
            self._logged_too_large = True
            self.logger.error(
                "The answer to %.100r, %d bytes, was not sent; the client got an error instead. "
                "Answer in parts of at most %d bytes. Further answers like it are not logged.",
                event,
                size,
                self.eio.engine.limits.answer,
            )

    async def caught_up(self, sid: str, namespace: str) -> bool:
        """Wait until a member has read most of its data; return whether it is still connected."""
        member = self.manager.member(sid, namespace)
        if member is None:
            return False
        if member.client.write is None:
            await member.client.caught_up()
        return member.stage is Stage.CONNECTED and not member.client.closing

    # Returns the coroutine instead of awaiting it, to save a frame per event.
    def _trigger_event(self, event: Any, namespace: str, *args: Any) -> Awaitable[Any]:
        handler = self.namespace_handlers.get(namespace)
        if handler is None or self.handlers:
            return super()._trigger_event(event, namespace, *args)  # type: ignore[no-any-return]  # theirs
        return handler.trigger_event(event, *args)  # type: ignore[no-any-return]  # theirs

    def _run_in_order(self, client: Client, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` before handling anything else that this client sends."""
        client.pause()
        client.busy = self.eio.engine.run(self._serve(client, work))

    async def _serve(self, client: Client, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except PacketError as error:
            self.eio.engine.invalid_packet(client, str(error))
        except FAILURES:
            self.logger.exception("A handler failed.")
        if client.busy is asyncio.current_task():  # otherwise a later task continues the work
            client.busy = None
            self._process_inbox(client)

    def _process_inbox(self, client: Client) -> None:
        """Handle the messages in the inbox, until the client is busy again."""
        most = self.eio.engine.turns.packets() if client.inbox else 1
        for _ in range(most):
            if client.closing or not client.inbox:
                client.resume()
                return
            data = client.take()
            self.eio.engine.turns.spend(1, len(data))
            try:
                self._receive(client, data)
            except PacketError as error:
                self.eio.engine.invalid_packet(client, str(error))
            if client.busy is not None:
                return
        self.eio.engine.turns.wait(partial(self._process_inbox, client))

    # What goes out
