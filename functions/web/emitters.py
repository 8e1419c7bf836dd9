"""The kinds of emitter: which of them a setting names."""

from functions.contract.bus import Topic
from functions.contract.redis_address import SCHEMES, Address
from functions.web.emit import Emitter, LoopbackEmitter, SnsEmitter


def open_emitter(setting: str, secret: str) -> Emitter:
    """Return the emitter for a setting; it connects when it is first needed.

    The setting is `sns:TOPIC_ARN`, `redis://…` or `valkey://…`, or the address of a socket host on
    this machine, or empty: then every emit raises EmitError. Raises ValueError, which says what it
    must be, for any other text.
    """
    if not setting:
        return Emitter()
    if setting.startswith("sns:"):
        return SnsEmitter(Topic.parse(setting))
    if setting.partition(":")[0] in SCHEMES:
        from functions.web.redis_emitter import RedisEmitter  # TLS takes a while to import

        return RedisEmitter(Address.parse(setting))
    return LoopbackEmitter(setting, secret)
