"""Connecting: how a client becomes a member of a namespace, or resumes an earlier session."""

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
from socket_host.transport.hooks import FAILURES, NOT_ACCEPTED, Hooks, check_registration
from socket_host.transport.limits import Limits
from socket_host.transport.native.client import Client
from socket_host.transport.native.encoding import encode_binary, engine_message, event_of
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.message import Message
from socket_host.transport.native.packet_types import MESSAGE
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
from socket_host.transport.strict_json import encode, not_json

_UNKNOWN = "Invalid namespace"  # required by the specification
_CLOSE_SECONDS = 5.0  # for a session's handlers to end before another connection resumes it


_LetIn = Callable[[str, Environ, Any], Coroutine[Any, Any, None] | None]  # `Hooks.let_in`


class ConnectingServer(EmittingServer):
    """The part of the Socket.IO server that answers CONNECT packets and resumes sessions."""

    def __init__(self, limits: Limits | None, recovery: Recovery | None, **options: Any) -> None:
        super().__init__(**options)
        self.eio.start(self, limits or Limits())
        self.hooks: dict[str, Hooks] = {}  # by namespace
        # Whether packets are encoded by a custom serializer or JSON module.
        self._custom_packets = (
            self.packet_class is not socketio.packet.Packet
            or self.packet_class.json is not engineio.json
        )
        if self._custom_packets and recovery is not None:
            raise TypeError("Recovery needs python-socketio's own serializer and JSON module.")
        self.recovery = recovery
        if recovery is not None:
            recovery.close_member, recovery.is_member = self._close_member, self._is_member
            self.eio.engine.pinging, self.eio.engine.ponged = self._pinging, self._ponged
        self.replays = Replays()
        # The resumed session and the offset of a connecting client, by Engine.IO sid and namespace.
        self.resuming: dict[tuple[str, str], tuple[ResumedSession | None, str | None]] = {}
        # Resolved when a client that waits for a search closes.
        self._leaving: dict[Client, asyncio.Future[None]] = {}
        self._searches: set[asyncio.Task[ResumedSession | None]] = set()

    def register_namespace(self, namespace_handler: Any) -> None:
        """Register a namespace object, and call its hooks if it has them.

        Raises StartError if its namespace is taken.
        """
        check_registration(self.namespace_handlers, namespace_handler.namespace)
        super().register_namespace(namespace_handler)
        if isinstance(namespace_handler, Hooks):
            self.hooks[namespace_handler.namespace] = namespace_handler

    def on(self, event: str, handler: Any = None, namespace: str | None = None) -> Any:
        """Register an event handler; raise StartError if a namespace object handles its events."""
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
        elif (let_in := self._immediate_let_in(namespace)) is None or (
            resume_request and self.recovery
        ):
            self._run_in_order(
                client, self._connect_slowly(client, namespace, auth, resume_request)
            )
        else:
            self._connect_at_once(client, namespace, auth, let_in)

    def _immediate_let_in(self, namespace: str) -> _LetIn | None:
        """Return the namespace's `let_in` if nothing else has to be called for a CONNECT."""
        if self.handlers or self.always_connect or "_trigger_event" in self.__dict__:
            return None  # an event handler, or the admin interface, has to be called too
        hooks = self.hooks.get(namespace)
        return hooks.let_in if hooks else None

    def _connect_at_once(
        self,
        client: Client,
        namespace: str,
        auth: Any,
        let_in: _LetIn,
    ) -> None:
        """Do what python-socketio does at CONNECT, but without a task, which is much faster."""
        member = self.manager.begin(client, namespace)
        try:
            pending = let_in(member.sid, client.environ, auth or None)
        except Refused as refused:
            self._refuse(member, refused)
        else:
            if pending is not None:
                self._run_in_order(client, self._connect_after(member, pending))
                return
            self._accept(member)
        client.environ.compact()

    async def _connect_after(self, member: Member, pending: Coroutine[Any, Any, None]) -> None:
        """Accept or refuse a client, once the coroutine that `let_in` returned has ended."""
        try:
            await pending
        except Refused as refused:
            self._refuse(member, refused)
        else:
            self._accept(member)
        member.client.environ.compact()

    def _refuse(self, member: Member, refused: Any) -> None:
        namespace = member.namespace.name
        member.client.send(self._refusal(namespace, refused.error_args))
        self.manager.basic_disconnect(member.sid, namespace)

    def _refusal(self, namespace: str, data: Any) -> Message:
        try:
            return self.message(CONNECT_ERROR, namespace, None, data)
        except (TypeError, ValueError):
            self.logger.exception("A ConnectionRefusedError has data that cannot be sent as JSON.")
            return self.message(CONNECT_ERROR, namespace, None, {"message": NOT_ACCEPTED})

    def _accept(self, member: Member) -> None:
        member.client.send(self._connect_packet(member.sid, member.namespace.name))
        self.manager.connected(member)

    async def _connect_slowly(
        self, client: Client, namespace: str, auth: Any, resume_request: ResumeRequest | None
    ) -> None:
        try:
            if resume_request is not None and self.recovery is not None:
                resumed, offset = await self._find_session(
                    client, namespace, auth, resume_request, self.recovery
                )
                if client.closing:
                    return
                self.resuming[client.sid, namespace] = resumed, offset
                await self._handle_connect(client.sid, namespace, auth)
                if resumed is not None and namespace not in client.members:
                    self.recovery.keep(resumed.disconnected)  # refused, but it may try again
            else:
                await self._handle_connect(client.sid, namespace, auth)
        except FAILURES:
            self.logger.exception("A connect handler failed, so the client was refused.")
            client.send(self.message(CONNECT_ERROR, namespace, None, {"message": NOT_ACCEPTED}))
            if member := client.members.get(namespace):
                await self.manager.disconnect(member.sid, namespace, ignore_queue=True)
        client.environ.compact()

    async def _find_session(
        self,
        client: Client,
        namespace: str,
        auth: Any,
        resume_request: ResumeRequest,
        recovery: Recovery,
    ) -> tuple[ResumedSession | None, str | None]:
        """Return the session that a client resumes, if any, and the offset that it sent."""
        hooks = self.hooks.get(namespace)
        owner = hooks.identify(client.environ, auth) if hooks else ""
        loop = asyncio.get_running_loop()
        search = loop.create_task(recovery.find(namespace, resume_request, owner))
        self._searches.add(search)
        search.add_done_callback(self._searches.discard)
        # The search may wait for a session whose end waits for this client. So do not wait for the
        # search once this client closes.
        leaving = self._leaving[client] = loop.create_future()
        try:
            await asyncio.wait([search, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._leaving[client]
        offset = resume_request.offset if resume_request.is_plausible else None
        if client.closing:
            search.add_done_callback(self._keep_found)
            return None, offset
        return self._search_result(search), offset

    def _keep_found(self, search: asyncio.Task[ResumedSession | None]) -> None:
        """Keep a session that was found after its client had gone, so that it can be resumed."""
        if self.recovery is not None and (resumed := self._search_result(search)) is not None:
            self.recovery.keep(resumed.disconnected)

    def _search_result(self, search: asyncio.Task[ResumedSession | None]) -> ResumedSession | None:
        if search.cancelled():
            return None
        if error := search.exception():
            self.logger.error("A session could not be resumed.", exc_info=error)
            return None
        return search.result()

    def _is_member(self, namespace: str, sid: str) -> bool:
        return self.manager.member(sid, namespace) is not None

    async def _close_member(self, namespace: str, sid: str) -> None:
        """Close the connection of a member, if there is one, and wait a little for its end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while (member := self.manager.member(sid, namespace)) is not None:
                    self.eio.engine.close(member.client, TRANSPORT_CLOSE)
                    if (ending := member.client.ending) is None:
                        return  # it has left, except that one of its handlers may still run
                    await asyncio.wait([ending])

    def _is_namespace(self, namespace: str) -> bool:
        return (
            namespace in self.handlers
            or namespace in self.namespace_handlers
            or self.namespaces == "*"
            or namespace in self.namespaces
        )

    def recovered(self, sid: str, namespace: str) -> bool:
        """Return whether a member has resumed its session; valid while `connect` handlers run."""
        member = self.manager.member(sid, namespace)
        return member is not None and member.replay is not None

    def _connect_packet(self, sid: str, namespace: str) -> Message:
        """Return the answer to a CONNECT that succeeded."""
        data = {"sid": sid}
        if self.recovery is not None:
            data["pid"] = self._pid(sid, namespace, self.recovery)
        return self.message(CONNECT, namespace, None, data)

    def _pid(self, sid: str, namespace: str, recovery: Recovery) -> str:
        member = self.manager.member(sid, namespace)
        if member is not None and member.replay is not None:
            return str(member.replay.pid)  # an unchanged pid means `recovered` to the client
        return recovery.pid(sid, self._owner(sid, namespace))

    def _owner(self, sid: str, namespace: str) -> str:
        """Return the id of the only visitor who may resume a member's session."""
        hooks = self.hooks.get(namespace)
        return hooks.owner(sid) if hooks else ""

    def _disconnected_session(
        self, member: Member, reason: str, owner: str
    ) -> DisconnectedSession | None:
        """Return what a member needs in order to resume, or None if it may not."""
        if self.recovery is None or member.replay_point is None:
            return None
        if member.replay is not None and reason == TRANSPORT_ERROR:
            return None  # its replay failed, and would fail again
        namespace = member.namespace.name
        data = member.client.session.get(namespace)
        rooms = dict(member.rooms or ())
        return DisconnectedSession(namespace, member.sid, rooms, data, member.replay_point, owner)

    # What a pong confirms

    def _pinging(self, client: Client) -> None:
        """Note the position in the replay buffer, unless earlier events are still to be sent."""
        recovery = self.recovery
        if recovery is not None:
            behind = any(member.held is not None for member in client.members.values())
            client.ping_position = -1 if behind else recovery.replay_buffer.position

    def _ponged(self, client: Client) -> None:
        """Note that everything sent before the ping has arrived."""
        for member in client.members.values():
            if member.replay_point is not None and client.ping_position >= 0:
                member.replay_point.confirm(client.ping_position)

    # Output

    def message(self, kind: str, namespace: str, ack: int | None, data: Any) -> Message:
        """Encode a Socket.IO packet.

        Raises ValueError if `data` is not JSON or if clients would close the connection on it, and
        whatever another serializer raises.
        """
        if self._custom_packets:
            packet = self.packet_class(int(kind), data=data, namespace=namespace, id=ack)
            return engine_message(packet.encode())
        place = "" if namespace == "/" else namespace + ","
        number = "" if ack is None else ack
        try:
            return Message.text(f"{MESSAGE}{kind}{place}{number}{encode(data)}")
        except TypeError:  # there are bytes in it, or it is not JSON and this raises again
            return encode_binary(kind, f"{place}{number}", data)
        except (ValueError, RecursionError) as error:
            raise not_json(event_of(kind, data), error) from None

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        client = self.eio.engine.clients.get(eio_sid)
        if client is None:
            return
        if str(pkt.packet_type) == CONNECT:
            sid, namespace = pkt.data["sid"], pkt.namespace
            member = self.manager.member(sid, namespace)
            if member is not None and member.replay is not None:
                # Sent together with missed events, so that they arrive if this does.
                member.replay.first = self._connect_packet(sid, namespace)
            else:
                client.send(self._connect_packet(sid, namespace))
        elif pkt.data is None:
            client.send(engine_message(pkt.encode()))
        else:
            kind = str(pkt.packet_type)
            kind = PLAIN.get(kind, kind)
            client.send(self.message(kind, pkt.namespace or "/", pkt.id, pkt.data))

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        await self.eio.send_packet(eio_sid, eio_pkt)
