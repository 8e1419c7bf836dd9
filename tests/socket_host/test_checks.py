"""A mistake in a namespace is reported at the start, not when its first client connects."""

from pathlib import Path
from typing import Any

import pytest
import socketio

from functions.contract.setting import StartError
from socket_host.app import create_app
from socket_host.namespace import Namespace
from tests.kit.hosts import settings


class Chat(Namespace):
    """A valid namespace."""


@pytest.mark.parametrize(
    ("namespaces", "words"),
    [
        (None, "must be a list of classes, such as .Chat., not None"),
        (Chat, "must be a list of classes"),
        ([socketio], "derive from Namespace, not <module 'socketio'"),
        (["Chat"], "derive from Namespace, not 'Chat'"),
        ([socketio.AsyncNamespace], "derive from Namespace"),
        ([Chat, Chat], "has two namespaces named '/': Chat and Chat"),
    ],
)
def test_list(namespaces: Any, words: str, tmp_path: Path) -> None:
    """The list must contain namespaces with different names."""
    with pytest.raises(StartError, match=rf"events/__init__.py: `namespaces` .*{words}"):
        create_app(settings(tmp_path), namespaces)


async def waiting(self: Any, sid: str, room: str) -> bool:
    return True


async def deciding(self: Any, sid: str, environ: Any, auth: Any) -> None: ...


def not_async(self: Any, sid: str, environ: Any, auth: Any) -> None: ...


async def only_sid(self: Any, sid: str) -> None: ...


def no_settings(self: Any) -> None: ...


def no_super(self: Any, settings: Any) -> None: ...


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        *(
            ("namespace", name, "Odd.namespace must be a name such as '/chat'")
            for name in ("chat", "/a,b", "/a?b", "/a b", "*", "", None, 5)
        ),
        ("volatile", "tick", "Odd.volatile must be a set of names"),
        ("volatile", [5], "Odd.volatile must be a set of names"),
        ("may_join", waiting, "Odd.may_join is not awaited, so it must not be an `async def`"),
        ("admit", deciding, "Odd.admit is not awaited, so it must not be an `async def`"),
        ("on_connect", not_async, "Odd.on_connect must be an `async def`"),
        ("on_connect", only_sid, "Odd.on_connect must take self, sid, environ, auth"),
        ("on_disconnect", only_sid, "Odd.on_disconnect must take self, sid, reason"),
        ("on_recover", deciding, "Odd.on_recover must take self, sid"),
        ("__init__", no_settings, r"Odd.__init__ must take `settings` and pass it to super\(\)"),
        ("__init__", no_super, r"Odd.__init__ must take `settings` and pass it to super\(\)"),
    ],
)
def test_class(attribute: str, value: Any, words: str, tmp_path: Path) -> None:
    """A namespace's name, hooks and constructor are checked."""
    with pytest.raises(StartError, match=words):
        create_app(settings(tmp_path), [type("Odd", (Namespace,), {attribute: value})])
