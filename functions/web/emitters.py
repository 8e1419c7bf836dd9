"""The emitters, one for each kind of bus, selected by the setting BUS."""

import http.client
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from functions.contract.aws_error import explain
from functions.contract.bus import Topic, loopback_token
from functions.contract.redis_address import SCHEMES, Address
from functions.contract.reserved import framework_setting
from functions.web.emit import EmitError, Emitter

_LOOPBACK_SECONDS = 2.0

# The last is the name that containers have for their engine's machine.
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "host.docker.internal")


def open_emitter(setting: str, secret: str) -> Emitter:
    """Return the emitter for a setting; it connects on first use.

    The setting is `sns:TOPIC_ARN`, `redis://…`, `valkey://…`, or the address of a socket host on
    this machine. If it is empty, every emit raises EmitError. Raises ValueError for anything else,
    with a message that follows the setting's name.
    """
    if not setting:
        return Emitter()
    if setting.startswith("sns:"):
        return SnsEmitter(Topic.parse(setting))
    if setting.partition(":")[0] in SCHEMES:
        from functions.web.redis_emitter import RedisEmitter  # TLS takes a while to import

        return RedisEmitter(Address.parse(setting))
    return LoopbackEmitter(setting, secret)


def emitter_from(environ: Mapping[str, str]) -> Emitter:
    """Return an emitter for a function other than the pages', from BUS in its environment.

    scripts/dev sets the other variables that it needs. Raises ValueError as `open_emitter` does.
    """
    bus, secret = (framework_setting(environ, name) for name in ("BUS", "SESSION_SECRET"))
    return open_emitter(bus, secret)


class SnsEmitter(Emitter):
    """Publishes to the topic that every host's queue is subscribed to."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._sns: Any = None

    def _publish(self, message: str, sender: str) -> None:
        # Not at the top of the module: boto3 is slow to import.
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
            raise EmitError(explain(error, f"the topic {self._topic.arn}")) from error

    def _connect(self) -> None:
        import boto3  # type: ignore[import-untyped]  # ships no types
        from botocore.config import Config  # type: ignore[import-untyped]  # as above

        retries = {"mode": "standard", "total_max_attempts": 2}
        config = Config(connect_timeout=1, read_timeout=2, retries=retries)
        self._group = uuid.uuid4().hex  # SNS keeps the messages of a group in order
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
            raise EmitError(f"the socket host cannot be reached ({error})") from error
        finally:
            host.close()
        if answer.status != HTTPStatus.NO_CONTENT:
            raise EmitError(f"the socket host refused the message ({words.rstrip('.')})")
