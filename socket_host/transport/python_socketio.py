"""The seam to python-socketio and python-engineio: everything that knows their insides.

Their public interface stays what users write against; underneath, sessions, rooms and fan-out are
ours. The classes here override and call methods that those libraries do not document, so they are
written for one version each, and refuse to start with another.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import engineio  # type: ignore[import-untyped]  # python-engineio ships no types
import engineio.json  # type: ignore[import-untyped]  # as above
import socketio  # type: ignore[import-untyped]  # python-socketio neither
import socketio.packet  # type: ignore[import-untyped]  # as above
from aiohttp import web
from socketio.exceptions import (  # type: ignore[import-untyped]  # as above
    ConnectionRefusedError as Refused,
)

from socket_host.transport import polling
from socket_host.transport.bus_manager import BusManager
from socket_host.transport.client import Client
from socket_host.transport.engine import (
    SERVER_DISCONNECT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    Engine,
    PacketError,
)
from socket_host.transport.front import Front
from socket_host.transport.hooks import Hooks
from socket_host.transport.journal import MAX_BYTES, MAX_ENTRIES
from socket_host.transport.limits import Limits
from socket_host.transport.message import Message
from socket_host.transport.recovery import Claim, Dropped, Recovery, Return, Visit
from socket_host.transport.replay import Replay, Replays
from socket_host.transport.request import Environ, Head, Refusal, forbidden
from socket_host.transport.rooms import Member, Namespace, Stage, gather
from socket_host.transport.socket_packet import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    Packet,
    Partial,
    parse,
    plain_event,
)

WRITTEN_FOR = {"python-socketio": "5.18.1", "python-engineio": "4.15.1"}


def _encoder() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return encoder.encode
    # What `encoder.encode` makes anew for every call, made once: 0.5 instead of 1.2 µs.
    escape = json.encoder.encode_basestring_ascii
    pieces = make(None, encoder.default, escape, None, ":", ",", False, False, True)
    return lambda data: "".join(pieces(data, 0))


_encode = _encoder()
_MESSAGE = "4"  # Engine.IO's packet type
_A_TURN = 100  # packets of one client that wait and are taken in one turn of the event loop
_CONNECT_PACKETS = 15  # that a CONNECT counts for besides itself: it costs as much as they do
_UNKNOWN = "Invalid namespace"  # the words of the specification
_LET_GO_SECONDS = 5.0  # for a client's handlers to end, before another connection has its state
_FAILED = "The server could not accept the connection. Try again later."

MAX_ANSWER = 256 * 1024  # bytes: a quarter of what may wait for a client

DELIVERY = 256  # bytes: what it costs to send an event to one client, however small it is

_SMALL_ANSWER = 1_024  # bytes: paid for by the event itself
_TOO_LARGE = {"error": "The answer is too large to be sent."}


class VersionError(RuntimeError):
    """A library is not of the version this transport was written for."""


def check_versions() -> None:
    """Raise VersionError, with a sentence for whoever starts the host, if a version differs."""
    for library, version in WRITTEN_FOR.items():
        installed = importlib.metadata.version(library)
        if installed != version:
            raise VersionError(
                f"TRANSPORT=fast was written for {library} {version}, but {installed} is "
                f"installed: install {library}=={version}, or set TRANSPORT=stock."
            )


def _random_ids() -> Iterator[str]:
    """Yield ids of 120 random bits, drawn many at a time: each draw is a system call."""
    while True:
        text = base64.urlsafe_b64encode(os.urandom(15 * 64)).decode()
        yield from (text[at : at + 20] for at in range(0, len(text), 20))


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # ships no types
    """What python-socketio calls `sio.eio`: its interface, over our engine."""

    engine: Engine
    _ids: Iterator[str]

    def start(self, server: SocketServer, limits: Limits) -> None:
        """Begin to serve `server`; called once, from its constructor."""
        limits = replace(
            limits,
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            payload=self.max_http_buffer_size,
        )
        self._ids = _random_ids()
        self.engine = Engine(server, limits, self.generate_id)
        self.engine.upgrades = self.allow_upgrades
        self.engine.polls = "polling" in self.transports
        self.engine.websockets = "websocket" in self.transports
        self.sockets = self.engine.clients

    def generate_id(self) -> str:
        """Return an id for a session that nobody can guess."""
        return next(self._ids)

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve polling clients at the path, with and without its slash at the end."""
        path = "/" + engineio_path.strip("/")
        for spelling in (path, path + "/"):
            app.router.add_route("*", spelling, self.handle_request)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that came through aiohttp."""
        head = polling.head_of(request)
        environ = Environ(head, request.get_extra_info("peername"))
        try:
            if request.method == "OPTIONS":
                response: web.StreamResponse = web.Response(text="ok")
            elif head.upgrades:
                return polling.take_over(self.engine, request, head, environ)
            else:
                response = await polling.answer(self.engine, request, head, environ)
        except Refusal as refusal:
            self.engine.counts["refused requests"] += 1
            response = web.Response(
                text=refusal.body, status=refusal.status, content_type="application/json"
            )
        if "Origin" in request.headers:
            response.headers.extend(self._cors_headers(environ))
        return response

    async def send_packet(self, sid: str, pkt: Any) -> None:
        """Send an Engine.IO packet to a client; to one that is gone, do nothing."""
        client = self.engine.clients.get(sid)
        if client is not None:
            client.send(Message.of(pkt.encode()))

    async def disconnect(self, sid: str | None = None) -> None:
        """Close a client's session, or all of them, and wait for their handlers."""
        if sid is None:
            await self.engine.stop()
            return
        client = self.engine.clients.get(sid)
        task = client and self.engine.close(client, SERVER_DISCONNECT)
        if client and task and client.inbox is None:
            await asyncio.shield(task)

    async def shutdown(self) -> None:
        """Close all clients and stop."""
        await self.engine.stop()


class FanOut(socketio.AsyncManager):  # type: ignore[misc]  # ships no types
    """The client manager: rooms in memory, and broadcasts written straight to the transports.

    A manager for several hosts puts it behind the library's own:
    `class Manager(socketio.AsyncRedisManager, FanOut)`.
    """

    rooms: dict[str, Namespace]

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        *,
        message_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to a member, a room, several rooms, or the whole namespace.

        `message_id` is what the bus calls it.
        """
        if callback:
            skipped = _listed(skip_sid)
            self._emit_for_acks(
                namespace, to or room, skipped, [event, *_arguments(data)], callback
            )
        else:
            arguments = [event, *_arguments(data)]
            self._emit(namespace, to or room, _listed(skip_sid), arguments, message_id)
        if self.crowded:
            self.flush()
            await asyncio.sleep(0)

    def emit_now(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        message_id: str | None = None,
    ) -> None:
        """Do as `emit` does, which never waits but to let others have their turn."""
        self._emit(namespace, room, _listed(skip_sid), [event, *_arguments(data)], message_id)

    @property
    def crowded(self) -> bool:
        """True when whoever emits in a loop should let others have their turn."""
        full: bool = self.server.eio.engine.turn.full
        return full

    def flush(self) -> None:
        """Write what was emitted in this turn of the event loop, without waiting for its end."""
        self.server.eio.engine.turn.flush()

    def _emit(
        self,
        namespace: str,
        room: Any,
        skipped: list[Any],
        arguments: list[Any],
        message_id: str | None,
    ) -> None:
        recovery: Recovery | None = self.server.recovery
        hooks = self.server.hooks.get(namespace)
        kept = 0.0
        if recovery is None:
            message = self.server.message(EVENT, namespace, None, arguments)
        else:
            if message_id is not None:
                skipped = skipped + recovery.elsewhere(message_id)
            journal = recovery.journal
            if hooks is not None and arguments[0] in hooks.volatile:
                # The offset of what came before it: clients take the last text of any event for it.
                arguments.append(journal.offset(journal.position))
                message = self.server.message(EVENT, namespace, None, arguments)
            else:
                # For those who dropped too, so even if nobody is here.
                arguments.append(journal.next_offset())
                message = self.server.message(EVENT, namespace, None, arguments)
                journal.add(message, namespace, room, skipped, message_id)
                kept = len(message.frames) / MAX_BYTES + 1 / MAX_ENTRIES
        space = self.rooms.get(namespace)
        reached = self._broadcast(space, room, skipped, message) if space else 0
        if hooks is not None:
            hooks.count_sent(room, reached, len(message.frames) + DELIVERY, kept)

    def _broadcast(self, space: Namespace, room: Any, skipped: list[Any], message: Message) -> int:
        """Send a message, and return to how many."""
        members = space.everybody.members
        if isinstance(room, str) and room in members:
            if room in skipped:
                return 0
            members[room].deliver(message)
            return 1
        named = space.room(room)
        if named is not None:
            audience, indirect = named.gather(), named.indirect
        else:
            audience, indirect = gather(space.members(room))
        left_out = frozenset(members[sid].client for sid in skipped if sid in members)
        if audience.clients:
            self.server.eio.engine.turn.broadcast(audience, left_out, message)
        for member in list(indirect):
            if member.client not in left_out:
                member.deliver(message)
        return max(0, len(audience.clients) + len(indirect) - len(left_out))

    def _emit_for_acks(
        self, namespace: str, room: Any, skipped: list[Any], arguments: list[Any], callback: Any
    ) -> None:
        space = self.rooms.get(namespace)
        hooks = self.server.hooks.get(namespace)
        for member in list(space.members(room)) if space else ():
            if member.sid not in skipped:
                ack = self._generate_ack_id(member.sid, callback)
                message = self.server.message(EVENT, namespace, ack, arguments)
                member.send(message)
                if hooks is not None:
                    hooks.count_sent(room, 1, len(message.frames) + DELIVERY, 0.0)

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:  # noqa: A002 - theirs
        """Call what waits for an ack; an ack nobody waits for is not worth a line in the log."""
        if id and id in self.callbacks.get(sid, {}):
            await super().trigger_callback(sid, id, data)

    def member(self, sid: str, namespace: str) -> Member | None:
        """Return the member with that sid."""
        space = self.rooms.get(namespace)
        return space.everybody.members.get(sid) if space else None

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the sids in a room, each with its Engine.IO sid."""
        space = self.rooms.get(namespace)
        for member in list(space.members(room)) if space else ():
            yield member.sid, member.client.sid

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Make the client a member that is still connecting."""
        client = self.server.eio.engine.clients.get(eio_sid)
        back, offset = self.server.returns.pop((eio_sid, namespace), (None, None))
        if client is None or namespace in client.members:
            return None
        if back is not None and self.member(back.dropped.sid, namespace) is not None:
            back = None  # it is back by another connection already
        member = self.begin(client, namespace, back and back.dropped.sid, offset)
        if back is not None:
            self._restore(member, back)
        return member.sid

    def begin(
        self, client: Client, namespace: str, sid: str | None = None, offset: str | None = None
    ) -> Member:
        """Make the client a member that is still connecting.

        It may have a `sid` already, and the `offset` of what it last had wherever it was.
        """
        space = self.rooms.get(namespace)
        if space is None:
            recovery = self.server.recovery
            space = Namespace(namespace, recovery and recovery.journal)
            self.rooms[namespace] = space
        member = Member(sid or self.server.eio.generate_id(), client, space)
        if space.journal is not None:
            member.visit = Visit(space.journal.position, offset)
        member.hold()
        space.everybody.add(member)
        client.members[namespace] = member
        return member

    def _restore(self, member: Member, back: Return) -> None:
        """Let a member that is back have its rooms and its session, and soon what it missed."""
        space, client = member.namespace, member.client
        assert space.journal is not None
        member.visit = back.visit
        member.replay = Replay(self.server.replays, member, space.journal, back.visit, back.pid)
        for room, position in back.dropped.rooms.items():
            space.enter(member, room, position)
        if back.dropped.data is not None:
            client.session[space.name] = back.dropped.data
        client.proof = -1  # a ping that is under way comes before what it missed

    async def connect(self, sid: str, namespace: str) -> str:
        """Make a connecting member a connected one."""
        member = self.member(sid, namespace)
        if member is not None:
            self.connected(member)
        return sid

    def connected(self, member: Member) -> None:
        """Make a connecting member a connected one, and send it what was held for it."""
        member.stage = Stage.CONNECTED
        member.client.engine.joined(member.client)
        journal, visit = member.namespace.journal, member.visit
        # What was emitted while it connected is missed too.
        if member.replay is None and journal and visit and visit.start < journal.position:
            member.replay = Replay(self.server.replays, member, journal, visit)
        if member.replay is None:
            member.release()
        else:
            member.replay.proceed_soon()

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Tell if the member is still connecting."""
        member = self.member(sid, namespace)
        return member is not None and member.stage is Stage.CONNECTING

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Tell if the member is connected, and not about to leave."""
        member = self.member(sid, namespace)
        return member is not None and member.stage is Stage.CONNECTED

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """Return the sid a client has in a namespace."""
        client = self.server.eio.engine.clients.get(eio_sid)
        member = client and client.members.get(namespace)
        return member.sid if member else None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Return the Engine.IO sid of a member."""
        member = self.member(sid, namespace)
        return member.client.sid if member else None

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Mark a member as leaving; its rooms stay until its handler has run."""
        member = self.member(sid, namespace)
        if member is None:
            return None
        member.stage = Stage.LEAVING
        return member.client.sid

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Forget a member, in the time its own rooms take."""
        member = self.member(sid, namespace)
        if member is None:
            return
        member.replay = None
        space = member.namespace
        for room in list(member.rooms or ()):
            self.basic_leave_room(sid, namespace, room)
        space.everybody.remove(member)
        if not space.everybody.members:
            self.rooms.pop(namespace, None)
        self.callbacks.pop(sid, None)
        client = member.client
        client.members.pop(namespace, None)
        if not any(other.stage is Stage.CONNECTED for other in client.members.values()):
            client.engine.left(client)

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        """Tell if `room` is the sid of a member."""
        return self.member(room, namespace) is not None

    def basic_enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Put a member into a room; raises ValueError."""
        member = self.member(sid, namespace)
        if member is None:
            raise ValueError("sid is not connected to requested namespace")
        if self.is_sid_room(namespace, room):
            raise ValueError("cannot enter a sid room")
        recovery = self.server.recovery
        member.namespace.enter(member, room, recovery.journal.position if recovery else 0)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a member out of a room, if it is there."""
        member = self.member(sid, namespace)
        if member is not None:
            member.namespace.leave(member, room)

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """Return the names of a member's rooms, its own sid among them."""
        member = self.member(sid, namespace)
        return list(member.namespace.names(member)) if member else []


class NativeManager(BusManager, FanOut):
    """Rooms in memory, and the bus of the host."""

    emit_here = FanOut.emit


# Events of the libraries themselves: a client that could send them would call handlers that are
# not meant for it. A namespace object sees them, and sees itself who has sent them.
_RESERVED = frozenset(
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
)


def _is_for_handlers(event: Any) -> bool:
    return isinstance(event, str) and event not in _RESERVED


def _listed(skip_sid: Any) -> list[Any]:
    if isinstance(skip_sid, list):
        return skip_sid
    return [skip_sid] if skip_sid else []


def _arguments(data: Any) -> Iterable[Any]:
    if isinstance(data, tuple):
        return data
    return () if data is None else (data,)


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]  # ships no types
    """`socketio.AsyncServer` on this host's transport.

    Takes the same options, and three more. `limits` are those of each connection, but for what the
    options say. `admit` is asked about every request, and whether it opens a session, and returns
    why not, or None; nothing else decides about origins then. `recovery` lets clients that dropped
    go on where they were. Raises VersionError.
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
                "TRANSPORT=fast needs a client manager that is a FanOut too: "
                "class Manager(socketio.AsyncRedisManager, FanOut)."
            )
        super().__init__(client_manager=client_manager or FanOut(), **options)
        self.eio.start(self, limits or Limits())
        self._admit = admit
        # Their packets are left to other serializers, and to other JSON modules at least writing.
        self._foreign = self.packet_class is not socketio.packet.Packet
        self.recovery = None if self._foreign else recovery
        if recovery is not None:
            recovery.let_go, recovery.is_here = self._let_go, self._is_here
            self.eio.engine.pinging, self.eio.engine.ponged = self._pinging, self._ponged
        self.replays = Replays()
        # Who is about to connect, if back, and with which offset; by Engine.IO sid and namespace.
        self.returns: dict[tuple[str, str], tuple[Return | None, str | None]] = {}
        self._leaving: dict[Client, asyncio.Future[None]] = {}  # ends their waiting for others
        self._searches: set[asyncio.Task[Return | None]] = set()
        self._plain = not self._foreign and self.packet_class.json is engineio.json
        # Events that are being answered, by the identity of their arguments, which live as long: to
        # ask for the task one is in takes longer on Python 3.11.
        self._running: dict[int, asyncio.Task[None]] = {}
        self.hooks: dict[str, Hooks] = {}  # by namespace
        self._had_too_large = False
        # Asking which loop runs takes 0.2 µs on Python 3.11, and every event would ask twice.
        self._loop: asyncio.AbstractEventLoop | None = None

    def register_namespace(self, namespace_handler: Any) -> None:
        """Register a namespace object; if it is a Hooks too, it is asked and told."""
        super().register_namespace(namespace_handler)
        if isinstance(namespace_handler, Hooks):
            self.hooks[namespace_handler.namespace] = namespace_handler

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    def front(self, http: Callable[[], asyncio.BaseProtocol], *paths: str) -> Front:
        """Return the protocol factory for the listening socket.

        Websockets for `paths` come to this server, everything else goes to a protocol that `http`
        makes; aiohttp's `AppRunner.server` does.
        """
        return Front(self.eio.engine, frozenset(paths), http)

    # What the engine tells us

    def refusal(self, head: Head, environ: Environ, opens: bool) -> Refusal | None:
        """Tell why a request is to be refused, or None."""
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
        if handler != self._handle_eio_connect:  # the admin interface wants to know
            self.eio.engine.run(handler(client.sid, client.environ))
        elif not self.manager_initialized:
            self.manager_initialized = True
            self.manager.initialize()
        self.environ[client.sid] = client.environ

    def expired(self, client: Client) -> bool:
        """Tell whether a namespace says that this client has outlived its session."""
        for name, member in client.members.items():
            hooks = self.hooks.get(name)
            if hooks is not None and hooks.expired(member.sid):
                return True
        return False

    async def closed(self, client: Client, reason: str) -> None:
        """Run the disconnect handlers, once those that connect have returned."""
        client.has_read()  # nothing waits for that any more
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
        member.stage = Stage.LEAVING
        try:
            if connected:
                await self._trigger_event(
                    "disconnect", namespace, member.sid, reason or self.reason.CLIENT_DISCONNECT
                )
        except Exception:
            self.logger.exception("a disconnect handler failed")
        finally:
            # Only now: the handler may have left rooms, or saved something.
            dropped = self._dropped(member, reason) if connected and reason else None
            await self.manager.disconnect(member.sid, namespace, ignore_queue=True)
            if dropped is not None and self.recovery is not None:
                self.recovery.keep(dropped)

    def _dropped(self, member: Member, reason: str) -> Dropped | None:
        """Return what a member needs when it comes back, if it may."""
        if self.recovery is None or member.visit is None:
            return None
        if member.replay is not None and reason == TRANSPORT_ERROR:
            return None  # it could not be sent what it missed, and could not the next time
        namespace = member.namespace.name
        data = member.client.session.get(namespace)
        return Dropped(namespace, member.sid, dict(member.rooms or ()), data, member.visit)

    def received(self, client: Client, data: str | bytes) -> None:
        """Take one message of a client; raises PacketError."""
        if client.inbox is not None:
            client.collect(data)
        else:
            self._take(client, data)

    def _take(self, client: Client, data: str | bytes) -> None:
        if self._foreign:
            self._busy(client, self._handle_eio_message(client.sid, data))
        elif not client.joined and data[:1] != CONNECT:
            raise PacketError("not a CONNECT, and in no namespace")
        elif client.partial is None and isinstance(data, str) and (event := plain_event(data)):
            self._event(client, "/", *event)
        elif packet := self._packet(client, data):
            self._packet_of(client, packet)

    def _packet_of(self, client: Client, packet: Packet) -> None:
        if packet.kind == CONNECT:
            client.spent += _CONNECT_PACKETS
            self._connect(client, packet.namespace, packet.data)
        elif packet.namespace not in client.members:
            pass  # sent before it knew that it is no longer a member
        elif packet.kind == EVENT:
            self._event(client, packet.namespace, packet.ack, packet.data)
        elif packet.kind == DISCONNECT:
            self._busy(client, self._handle_disconnect(client.sid, packet.namespace))
        elif packet.kind == ACK and packet.ack in self.manager.callbacks.get(
            client.members[packet.namespace].sid, ()
        ):
            self._busy(
                client,
                self._handle_ack(client.sid, packet.namespace, packet.ack, packet.data),
            )

    def _packet(self, client: Client, data: str | bytes) -> Packet | None:
        """Return the packet that `data` is or completes, None if attachments are missing."""
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
        member = client.members.get(namespace)
        if member is None or member.stage is not Stage.CONNECTED:
            return  # sent before it knew that it is not, or no longer, a member
        if client.write is None and client.behind:
            self._busy(client, self._event_later(client, namespace, ack, arguments))
            return
        hooks = self.hooks.get(namespace)
        if hooks is None or self.handlers:
            if namespace not in self.namespace_handlers and not _is_for_handlers(arguments[0]):
                raise PacketError("not the name of an event")
        elif (refusal := hooks.begin_event(member.sid)) is not None:
            if ack is not None:
                client.send(self.message(ACK, namespace, ack, [refusal]))
            return
        answer = self._answer(member, ack, arguments)
        if not self.async_handlers:
            self._busy(client, answer)
        elif sys.version_info >= (3, 12):
            # Begins at once: most handlers end without ever having waited for anything.
            task = asyncio.Task(answer, loop=self._loop, eager_start=True)
            if not task.done():
                self._running[id(arguments)] = task
        else:
            # With a name, so that the task need not make one up.
            task = asyncio.Task(answer, loop=self._loop, name="event")
            self._running[id(arguments)] = task

    async def _event_later(
        self, client: Client, namespace: str, ack: int | None, arguments: list[Any]
    ) -> None:
        """Take an event when its client has read what it was sent; meanwhile it is not read."""
        await client.caught_up()
        if not client.closing:
            self._event(client, namespace, ack, arguments)

    async def _answer(self, member: Member, ack: int | None, arguments: list[Any]) -> None:
        namespace = member.namespace.name
        client = member.client
        try:
            if client.write is None and client.behind:
                await client.caught_up()  # it began before the answers to the events before it
            result = await self._trigger_event(arguments[0], namespace, member.sid, *arguments[1:])
            if ack is not None and result is not self.not_handled and not client.closing:
                message = self.message(ACK, namespace, ack, list(_arguments(result)))
                if len(message.frames) > _SMALL_ANSWER:
                    message = self._large_answer(namespace, ack, message, arguments[0])
                member.send(message)
        except Exception:
            self.logger.exception("the handler of %.100r failed", arguments[0])
        finally:
            self._running.pop(id(arguments), None)

    def _large_answer(self, namespace: str, ack: int, message: Message, event: Any) -> Message:
        """Count a large answer; return what is sent in its place if it is too large."""
        size = len(message.frames)
        if size > MAX_ANSWER:
            self._note_too_large(event, size)
            message = self.message(ACK, namespace, ack, [_TOO_LARGE])
        if (hooks := self.hooks.get(namespace)) is not None:
            hooks.count_answer(size)
        return message

    def _note_too_large(self, event: Any, size: int) -> None:
        """Log the first answer that is too large: clients can ask for more at will."""
        if not self._had_too_large:
            self._had_too_large = True
            self.logger.error(
                "The answer to %.100r had %d bytes and was not sent. Answer in parts of at most "
                "%d bytes. Others like it will not be logged.",
                event,
                size,
                MAX_ANSWER,
            )

    async def caught_up(self, sid: str, namespace: str) -> bool:
        """Wait until a member has read most of what it was sent; tell if it is still there."""
        member = self.manager.member(sid, namespace)
        if member is None:
            return False
        if member.client.write is None:
            await member.client.caught_up()
        return member.stage is Stage.CONNECTED and not member.client.closing

    # Returns what to wait for instead of waiting for it: a layer less is 0.4 µs less an event.
    def _trigger_event(self, event: Any, namespace: str, *args: Any) -> Awaitable[Any]:
        handler = self.namespace_handlers.get(namespace)
        if handler is None or self.handlers:
            return super()._trigger_event(event, namespace, *args)  # type: ignore[no-any-return]  # theirs
        return handler.trigger_event(event, *args)  # type: ignore[no-any-return]  # theirs

    def _busy(self, client: Client, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` before anything else that this client sends."""
        client.pause()
        client.busy = self.eio.engine.run(self._serve(client, work))

    async def _serve(self, client: Client, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except PacketError as error:
            self.eio.engine.wrong(client, str(error))
        except Exception:
            self.logger.exception("a handler failed")
        client.busy = None
        self._catch_up(client)

    def _catch_up(self, client: Client) -> None:
        """Take what was collected while the client was busy, until it is busy again."""
        for _ in range(_A_TURN):
            if client.closing or not client.inbox:
                client.resume()
                return
            try:
                self._take(client, client.inbox.popleft())
            except PacketError as error:
                self.eio.engine.wrong(client, str(error))
            if client.busy is not None:
                return
        self.eio.engine.soon(self._catch_up, client)

    def _connect(self, client: Client, namespace: str, auth: Any) -> None:
        if namespace in client.members:
            raise PacketError("connected to the same namespace twice")
        claim = None
        if isinstance(auth, dict) and "pid" in auth:
            auth, claim = Claim.of(auth)
        if not self._is_namespace(namespace):
            client.send(self.message(CONNECT_ERROR, namespace, None, {"message": _UNKNOWN}))
        elif (let_in := self._doorkeeper(namespace)) is None or (claim and self.recovery):
            self._busy(client, self._connect_slowly(client, namespace, auth, claim))
        else:
            self._connect_at_once(client, namespace, auth, let_in)

    def _doorkeeper(self, namespace: str) -> Callable[[str, Environ, Any], None] | None:
        """Return what decides about a client without having to wait, if this namespace has it."""
        if self.handlers or self.always_connect or "_trigger_event" in self.__dict__:
            return None  # somebody else wants to know: a function, or the admin interface
        hooks = self.hooks.get(namespace)
        return hooks.let_in if hooks else None

    def _connect_at_once(
        self,
        client: Client,
        namespace: str,
        auth: Any,
        let_in: Callable[[str, Environ, Any], None],
    ) -> None:
        """Do what python-socketio does at CONNECT, without a task: that is half of the time."""
        member = self.manager.begin(client, namespace)
        try:
            let_in(member.sid, client.environ, auth or None)
        except Refused as refused:
            client.send(self.message(CONNECT_ERROR, namespace, None, refused.error_args))
            self.manager.basic_disconnect(member.sid, namespace)
        else:
            client.send(self._welcome(member.sid, namespace))
            self.manager.connected(member)
        client.environ.settle()

    async def _connect_slowly(
        self, client: Client, namespace: str, auth: Any, claim: Claim | None
    ) -> None:
        try:
            if claim is not None and self.recovery is not None:
                back, offset = await self._back(client, namespace, auth, claim, self.recovery)
                if client.closing:
                    return
                self.returns[client.sid, namespace] = back, offset
                await self._handle_connect(client.sid, namespace, auth)
                if back is not None and namespace not in client.members:
                    self.recovery.keep(back.dropped)  # refused, perhaps only for now
            else:
                await self._handle_connect(client.sid, namespace, auth)
        except Exception:
            self.logger.exception("a connect handler failed")
            client.send(self.message(CONNECT_ERROR, namespace, None, {"message": _FAILED}))
            if member := client.members.get(namespace):
                await self.manager.disconnect(member.sid, namespace, ignore_queue=True)
        client.environ.settle()

    async def _back(
        self, client: Client, namespace: str, auth: Any, claim: Claim, recovery: Recovery
    ) -> tuple[Return | None, str | None]:
        """Return what a client that dropped a moment ago has again, and the offset it brought."""
        hooks = self.hooks.get(namespace)
        owner = hooks.identify(client.environ, auth) if hooks else ""
        loop = asyncio.get_running_loop()
        search = loop.create_task(recovery.find(namespace, claim, owner))
        self._searches.add(search)
        search.add_done_callback(self._searches.discard)
        # Whose state it is may be waiting for this client in turn, which must not go on once this
        # one is to leave.
        leaving = self._leaving[client] = loop.create_future()
        try:
            await asyncio.wait([search, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._leaving[client]
        offset = claim.offset if claim.is_plausible else None
        if client.closing:
            search.add_done_callback(self._put_back)
            return None, offset
        return self._found(search), offset

    def _put_back(self, search: asyncio.Task[Return | None]) -> None:
        """Let a client that has gone before it was found come back later."""
        if self.recovery is not None and (back := self._found(search)) is not None:
            self.recovery.keep(back.dropped)

    def _found(self, search: asyncio.Task[Return | None]) -> Return | None:
        if search.cancelled():
            return None
        if error := search.exception():
            self.logger.error("a client could not be recovered", exc_info=error)
            return None
        return search.result()

    def _is_here(self, namespace: str, sid: str) -> bool:
        return self.manager.member(sid, namespace) is not None

    async def _let_go(self, namespace: str, sid: str) -> None:
        """Close the connection of a member, if it has one, and wait a little until it has left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LET_GO_SECONDS):
                while (member := self.manager.member(sid, namespace)) is not None:
                    self.eio.engine.close(member.client, TRANSPORT_CLOSE)
                    if (ending := member.client.ending) is None:
                        return  # it has gone, but for what a handler of it may still do
                    await asyncio.wait([ending])

    # What a pong proves

    def _pinging(self, client: Client) -> None:
        """Note what has been sent before a ping, unless something is still to be sent."""
        recovery = self.recovery
        if recovery is not None:
            behind = any(member.held is not None for member in client.members.values())
            client.proof = -1 if behind else recovery.journal.position

    def _ponged(self, client: Client) -> None:
        """Note that what was sent before the ping has arrived."""
        for member in client.members.values():
            if member.visit is not None and client.proof >= 0:
                member.visit.prove(client.proof)

    def recovered(self, sid: str, namespace: str) -> bool:
        """Tell, while its `connect` handler runs, if this member is back with its state."""
        member = self.manager.member(sid, namespace)
        return member is not None and member.replay is not None

    def _welcome(self, sid: str, namespace: str) -> Message:
        """Return the answer to a CONNECT that succeeded."""
        welcome = {"sid": sid}
        if self.recovery is not None:
            welcome["pid"] = self._pid(sid, namespace, self.recovery)
        return self.message(CONNECT, namespace, None, welcome)

    def _pid(self, sid: str, namespace: str, recovery: Recovery) -> str:
        member = self.manager.member(sid, namespace)
        if member is not None and member.replay is not None:
            return str(member.replay.pid)  # the same tells the client that it is recovered
        hooks = self.hooks.get(namespace)
        return recovery.pid(sid, hooks.owner(sid) if hooks else "")

    def _is_namespace(self, namespace: str) -> bool:
        return (
            namespace in self.handlers
            or namespace in self.namespace_handlers
            or self.namespaces == "*"
            or namespace in self.namespaces
        )

    # What goes out

    def message(self, kind: str, namespace: str, ack: int | None, data: Any) -> Message:
        """Encode a Socket.IO packet; raises TypeError or ValueError if `data` is not JSON."""
        if self._plain:
            try:
                text = _encode(data)
            except TypeError:
                pass  # bytes somewhere in it, or an error that theirs will raise again
            else:
                place = "" if namespace == "/" else namespace + ","
                return Message.text(f"{_MESSAGE}{kind}{place}{'' if ack is None else ack}{text}")
        packet = self.packet_class(int(kind), data=data, namespace=namespace, id=ack)
        return _engine_message(packet.encode())

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        client = self.eio.engine.clients.get(eio_sid)
        if client is None:
            return
        if str(pkt.packet_type) == CONNECT:
            sid, namespace = pkt.data["sid"], pkt.namespace
            member = self.manager.member(sid, namespace)
            if member is not None and member.replay is not None:
                # Together with what was missed: a client that is gone soon has had it.
                member.replay.first = self._welcome(sid, namespace)
            else:
                client.send(self._welcome(sid, namespace))
        else:
            client.send(_engine_message(pkt.encode()))

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        await self.eio.send_packet(eio_sid, eio_pkt)


def _engine_message(encoded: str | bytes | list[str | bytes]) -> Message:
    parts = encoded if isinstance(encoded, list) else [encoded]
    return Message.of(
        *(_MESSAGE + part if isinstance(part, str) else bytes(part) for part in parts)
    )
