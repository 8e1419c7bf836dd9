"""Connecting: how a client becomes a member of a namespace, or the member that it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import engineio  # type: ignore[import-untyped]  # python-engineio ships no types
import engineio.json  # type: ignore[import-untyped]  # as above
import socketio  # type: ignore[import-untyped]  # python-socketio neither
import socketio.packet  # type: ignore[import-untyped]  # as above
from socketio.exceptions import (  # type: ignore[import-untyped]  # as above
    ConnectionRefusedError as Refused,
)

from socket_host.transport.emitting import EmittingServer
from socket_host.transport.hooks import FAILURES, Hooks, check_registration
from socket_host.transport.limits import Limits
from socket_host.transport.native.client import Client
from socket_host.transport.native.encoding import (
    MESSAGE,
    encode,
    encode_binary,
    engine_message,
    not_json,
)
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.message import Message
from socket_host.transport.native.reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR, PacketError
from socket_host.transport.native.recovery import (
    DisconnectedSession,
    Recovery,
    ResumedSession,
    ResumeRequest,
)
from socket_host.transport.native.replay import Replays
from socket_host.transport.native.rooms import Member
from socket_host.transport.native.socket_packet import CONNECT, CONNECT_ERROR, PLAIN

_UNKNOWN = "Invalid namespace"  # the words of the specification
_LET_GO_SECONDS = 5.0  # for a client's handlers to end, before another connection has its state
_FAILED = "The server could not accept the connection. Try again later."


# What decides about a client, and may greet it first.
_LetIn = Callable[[str, Environ, Any], Coroutine[Any, Any, None] | None]


class ConnectingServer(EmittingServer):
    """The part of the server that answers CONNECT, and knows who was here before."""

    def __init__(self, limits: Limits | None, recovery: Recovery | None, **options: Any) -> None:
        super().__init__(**options)
        self.eio.start(self, limits or Limits())
        self.hooks: dict[str, Hooks] = {}  # by namespace
        # Packets are left to other serializers, and to other JSON modules.
        self._foreign = (
            self.packet_class is not socketio.packet.Packet
            or self.packet_class.json is not engineio.json
        )
        if self._foreign and recovery is not None:
            raise TypeError("Recovery needs python-socketio's own serializer and JSON module.")
        self.recovery = recovery
        if recovery is not None:
            recovery.let_go, recovery.is_here = self._let_go, self._is_here
            self.eio.engine.pinging, self.eio.engine.ponged = self._pinging, self._ponged
        self.replays = Replays()
        # Who is about to connect, if back, and with which offset; by Engine.IO sid and namespace.
        self.returns: dict[tuple[str, str], tuple[ResumedSession | None, str | None]] = {}
        self._leaving: dict[Client, asyncio.Future[None]] = {}  # ends their waiting for others
        self._searches: set[asyncio.Task[ResumedSession | None]] = set()

    def register_namespace(self, namespace_handler: Any) -> None:
        """Register a namespace object; if it is a Hooks too, it is asked and told.

        Raises StartError if another has that namespace.
        """
        check_registration(self.namespace_handlers, namespace_handler.namespace)
        super().register_namespace(namespace_handler)
        if isinstance(namespace_handler, Hooks):
            self.hooks[namespace_handler.namespace] = namespace_handler

    def on(self, event: str, handler: Any = None, namespace: str | None = None) -> Any:
        """Register a function for an event; raises StartError where a namespace answers those."""
        check_registration(self.namespace_handlers, namespace)
        return super().on(event, handler, namespace)

    def _connect(self, client: Client, namespace: str, auth: Any) -> None:
        if namespace in client.members:
            raise PacketError("connected to the same namespace twice")
        resume_request = None
        if isinstance(auth, dict) and "pid" in auth:
            auth, resume_request = ResumeRequest.of(auth)
        if not self._is_namespace(namespace):
            client.send(self.message(CONNECT_ERROR, namespace, None, {"message": _UNKNOWN}))
        elif (let_in := self._doorkeeper(namespace)) is None or (resume_request and self.recovery):
            self._busy(client, self._connect_slowly(client, namespace, auth, resume_request))
        else:
            self._connect_at_once(client, namespace, auth, let_in)

    def _doorkeeper(self, namespace: str) -> _LetIn | None:
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
        let_in: _LetIn,
    ) -> None:
        """Do what python-socketio does at CONNECT, without a task: that is half of the time."""
        member = self.manager.begin(client, namespace)
        try:
            greeting = let_in(member.sid, client.environ, auth or None)
        except Refused as refused:
            self._refuse(member, refused)
        else:
            if greeting is not None:
                self._busy(client, self._connect_greeted(member, greeting))
                return
            self._welcome_in(member)
        client.environ.settle()

    async def _connect_greeted(self, member: Member, greeting: Coroutine[Any, Any, None]) -> None:
        """Tell a client that it is in, or why not, once its namespace has greeted it."""
        try:
            await greeting
        except Refused as refused:
            self._refuse(member, refused)
        else:
            self._welcome_in(member)
        member.client.environ.settle()

    def _refuse(self, member: Member, refused: Any) -> None:
        namespace = member.namespace.name
        member.client.send(self._refusal(namespace, refused.error_args))
        self.manager.basic_disconnect(member.sid, namespace)

    def _refusal(self, namespace: str, words: Any) -> Message:
        try:
            return self.message(CONNECT_ERROR, namespace, None, words)
        except (TypeError, ValueError):
            self.logger.exception("a client was refused in words that are no JSON")
            return self.message(CONNECT_ERROR, namespace, None, {"message": _FAILED})

    def _welcome_in(self, member: Member) -> None:
        member.client.send(self._welcome(member.sid, member.namespace.name))
        self.manager.connected(member)

    async def _connect_slowly(
        self, client: Client, namespace: str, auth: Any, resume_request: ResumeRequest | None
    ) -> None:
        try:
            if resume_request is not None and self.recovery is not None:
                back, offset = await self._back(
                    client, namespace, auth, resume_request, self.recovery
                )
                if client.closing:
                    return
                self.returns[client.sid, namespace] = back, offset
                await self._handle_connect(client.sid, namespace, auth)
                if back is not None and namespace not in client.members:
                    self.recovery.keep(back.disconnected)  # refused, perhaps only for now
            else:
                await self._handle_connect(client.sid, namespace, auth)
        except FAILURES:
            self.logger.exception("a connect handler failed")
            client.send(self.message(CONNECT_ERROR, namespace, None, {"message": _FAILED}))
            if member := client.members.get(namespace):
                await self.manager.disconnect(member.sid, namespace, ignore_queue=True)
        client.environ.settle()

    async def _back(
        self,
        client: Client,
        namespace: str,
        auth: Any,
        resume_request: ResumeRequest,
        recovery: Recovery,
    ) -> tuple[ResumedSession | None, str | None]:
        """Return what a client that dropped a moment ago has again, and the offset it brought."""
        hooks = self.hooks.get(namespace)
        owner = hooks.identify(client.environ, auth) if hooks else ""
        loop = asyncio.get_running_loop()
        search = loop.create_task(recovery.find(namespace, resume_request, owner))
        self._searches.add(search)
        search.add_done_callback(self._searches.discard)
        # Whose state it is may be waiting for this client in turn, which must not go on once this
        # one is to leave.
        leaving = self._leaving[client] = loop.create_future()
        try:
            await asyncio.wait([search, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._leaving[client]
        offset = resume_request.offset if resume_request.is_plausible else None
        if client.closing:
            search.add_done_callback(self._put_back)
            return None, offset
        return self._found(search), offset

    def _put_back(self, search: asyncio.Task[ResumedSession | None]) -> None:
        """Let a client that has gone before it was found come back later."""
        if self.recovery is not None and (back := self._found(search)) is not None:
            self.recovery.keep(back.disconnected)

    def _found(self, search: asyncio.Task[ResumedSession | None]) -> ResumedSession | None:
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

    def _is_namespace(self, namespace: str) -> bool:
        return (
            namespace in self.handlers
            or namespace in self.namespace_handlers
            or self.namespaces == "*"
            or namespace in self.namespaces
        )

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

    def _disconnected(self, member: Member, reason: str) -> DisconnectedSession | None:
        """Return what a member needs when it comes back, if it may."""
        if self.recovery is None or member.replay_point is None:
            return None
        if member.replay is not None and reason == TRANSPORT_ERROR:
            return None  # it could not be sent what it missed, and could not the next time
        namespace = member.namespace.name
        data = member.client.session.get(namespace)
        return DisconnectedSession(
            namespace, member.sid, dict(member.rooms or ()), data, member.replay_point
        )

    # What a pong proves

    def _pinging(self, client: Client) -> None:
        """Note what has been sent before a ping, unless something is still to be sent."""
        recovery = self.recovery
        if recovery is not None:
            behind = any(member.held is not None for member in client.members.values())
            client.proof = -1 if behind else recovery.replay_buffer.position

    def _ponged(self, client: Client) -> None:
        """Note that what was sent before the ping has arrived."""
        for member in client.members.values():
            if member.replay_point is not None and client.proof >= 0:
                member.replay_point.prove(client.proof)

    # What goes out

    def message(self, kind: str, namespace: str, ack: int | None, data: Any) -> Message:
        """Encode a Socket.IO packet.

        Raises ValueError if `data` is not JSON, or if clients would hang up on it, and what another
        serializer raises.
        """
        if self._foreign:
            packet = self.packet_class(int(kind), data=data, namespace=namespace, id=ack)
            return engine_message(packet.encode())
        place = "" if namespace == "/" else namespace + ","
        number = "" if ack is None else ack
        try:
            return Message.text(f"{MESSAGE}{kind}{place}{number}{encode(data)}")
        except TypeError:  # bytes somewhere in it, or an error that is raised again
            return encode_binary(kind, f"{place}{number}", data)
        except (ValueError, RecursionError) as error:
            raise not_json(kind, data, error) from None

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
        elif pkt.data is None:
            client.send(engine_message(pkt.encode()))
        else:
            kind = str(pkt.packet_type)
            kind = PLAIN.get(kind, kind)
            client.send(self.message(kind, pkt.namespace or "/", pkt.id, pkt.data))

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        await self.eio.send_packet(eio_sid, eio_pkt)
