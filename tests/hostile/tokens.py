"""Valid and invalid tokens and cookies."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from functions.contract.session import COOKIE, Session, Sessions
from tests.hostile.victim import Victim
from tests.kit.hosts import SECRET, token
from tests.kit.protocol_client import http_client

ANN = Session("ann", "Ann")
MALLORY = Session("mallory", "Mallory")
Build = Callable[..., None]


def aged(seconds: float, session: Session = ANN, secret: str = SECRET) -> str:
    """A token that was issued this many seconds ago."""
    now = time.time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now - seconds)
        return Sessions(secret).issue(session)


def spellings(good: str) -> list[str]:
    """Other texts that decode to the same values as a token."""
    payload, stamp, signature = good.split(".")
    spare = chr(ord(stamp[-1]) + 1)  # its last bits are unused
    return [
        *(good + more for more in ("=", "==", "=" * 95_000, " ", "\n", "!", "\0", "\u00df", ".")),
        *(more + good for more in (" ", "=", "\n", ".", '"')),
        f"{payload}=.{stamp}.{signature}",
        f"{payload}.{stamp}==.{signature}",
        f"{payload}.{stamp[:-1]}{spare}.{signature}",
        f"{payload}.AAAA{stamp}.{signature}",
        f"{payload}.{stamp}.{signature[:16]}!{signature[16:]}",
        f"{payload}.{stamp}.{signature[:16]}\n{signature[16:]}",
        f"{payload}.{stamp}.{signature.replace('_', '/').replace('-', '+')}=",
        good.replace(".", "\uff0e"),
        good.encode().decode("utf-16-le", "replace"),
        good + "\ud800",
    ]


VALID, PLANTED = token("Ann"), Sessions(SECRET).issue(MALLORY)
FORGED = VALID[:-1] + ("A" if VALID[-1] != "A" else "B")
OTHER = f"{COOKIE}2=x; x{COOKIE}=x"


async def knock(host: Victim, session: str) -> Any:
    """Connect with a token; return the refusal, or None if it was accepted."""
    async with http_client(host.port) as http, http.websocket() as socket:
        await socket.receive()
        await socket.send("40" + json.dumps({"session": session}))
        while not (answer := str(await socket.receive())).startswith("4"):
            assert answer == "2", answer
        return json.loads(answer[2:]) if answer.startswith("44") else None
