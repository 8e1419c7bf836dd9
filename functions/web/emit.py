"""Say something to connected sockets, from a page or a route.

`emitter.emit("news", {"text": "…"}, room="plaza")` reaches the clients of every socket host.
"""

import http.client
import uuid
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from functions.contract.bus import (
    APP,
    FUNCTION,
    SESSION_END,
    Topic,
    encode_announcement,
    encode_emit,
    loopback_token,
)

_LOOPBACK_SECONDS = 2.0

# The last is what a container engine calls its own machine.
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "host.docker.internal")


class EmitError(Exception):
    """Maybe nobody heard it; the text says why."""


class Emitter:
    """Speaks to every socket host, in the order of the calls. This one cannot.

    Each call returns the id under which the hosts log that they heard it, and raises EmitError,
    within seconds, if they cannot be reached, and BusMessageError for what cannot be sent.
    """

    def emit(
        self, event: str, data: Any = None, *, room: str | None = None, namespace: str = "/"
    ) -> str:
        """Emit an event to the clients in a room, or to all without one.

        A tuple is several arguments.
        """
        encoded = partial(encode_emit, event, data, room=room, namespace=namespace)
        return self._send(encoded, f"{event!r} was not emitted")

    def disconnect(self, visitor: str) -> str:
        """Send away all clients of the visitor with that id, in all namespaces of all hosts.

        They do not come back by themselves; whether they may come back is for the session that they
        bring, and for `admit`, to say.
        """
        encoded = partial(encode_announcement, SESSION_END, {"visitor": visitor})
        return self._send(encoded, f"The sockets of {visitor!r} stay open")

    def announce(self, subject: str, body: Any = None) -> str:
        """Tell every host something: the methods with `@subscribe(subject)` of its namespaces."""
        encoded = partial(encode_announcement, APP + subject, body)
        return self._send(encoded, f"{subject!r} was not announced")

    def close(self) -> None:
        """Let go of what is kept for the next message."""

    def _send(self, encoded: Callable[..., str], failed: str) -> str:
        sender = FUNCTION + uuid.uuid4().hex
        message = encoded(sender=sender)
        try:
            self._publish(message, sender)
        except EmitError as error:
            raise EmitError(f"{failed}: {error}.") from error
        return f"{sender}:1"

    def _publish(self, message: str, sender: str) -> None:
        raise EmitError("BUS is not set")


class SnsEmitter(Emitter):
    """Publishes to the topic that every host's queue is subscribed to, by one call of boto3."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._sns: Any = None

    def _publish(self, message: str, sender: str) -> None:
        # Not with the module: boto3 takes as long as all the rest of a cold start.
        from botocore.exceptions import (  # type: ignore[import-untyped]  # ships no types
            BotoCoreError,
            ClientError,
        )

        try:
            if self._sns is None:
                self._connect()
            self._sns.publish(
                TopicArn=self._topic.arn,
                Message=message,
                MessageGroupId=self._group,
                MessageDeduplicationId=sender,
            )
        except (BotoCoreError, ClientError) as error:
            raise EmitError(error) from error

    def _connect(self) -> None:
        import boto3  # type: ignore[import-untyped]  # ships no types
        from botocore.config import Config  # type: ignore[import-untyped]  # as above

        retries = {"mode": "standard", "total_max_attempts": 2}
        config = Config(connect_timeout=1, read_timeout=2, retries=retries)
        self._group = uuid.uuid4().hex  # whose messages stay in order
        self._sns = boto3.client("sns", region_name=self._topic.region, config=config)


class LoopbackEmitter(Emitter):
    """Posts to a socket host on the same machine."""

    def __init__(self, address: str, secret: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or parts.hostname not in _LOOPBACK_HOSTS:
            raise ValueError(
                "must be sns:TOPIC_ARN, redis://…, valkey://…, or http://127.0.0.1:PORT/bus of a "
                f"socket host on this machine, not {address!r}"
            )
        self._netloc = parts.netloc
        self._path = parts.path or "/"
        self._headers = {"Authorization": f"Bearer {loopback_token(secret)}"}

    def _publish(self, message: str, sender: str) -> None:
        host = http.client.HTTPConnection(self._netloc, timeout=_LOOPBACK_SECONDS)
        try:
            host.request("POST", self._path, message.encode(), self._headers)
            answer = host.getresponse()
            words = answer.read(1_000).decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            raise EmitError(f"the socket host is away ({error})") from error
        finally:
            host.close()
        if answer.status != HTTPStatus.NO_CONTENT:
            raise EmitError(f"the socket host refused it ({words.rstrip('.')})")
