"""The framework does not refer to the chat, and the check for that works."""

import pytest

from tests import line
from tests.app.words import offences


def test_framework_does_not_refer_to_the_chat() -> None:
    """No file of the framework imports or names anything of the chat."""
    found = {path: offences(path, (line.ROOT / path).read_text()) for path in line.files()}
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("socket_host/settings.py", 'room_log = read.text("ROOM_LOG", "")'),
        ("scripts/local/server.py", 'own = {"ROOM_LOG": "sqlite:rooms"}'),
        ("socket_host/__main__.py", "from functions.model.room_log import RoomLogError"),
        ("socket_host/__main__.py", "from socket_host.events.chat import Chat"),
        ("socket_host/app.py", "from socket_host import events\nevents.chat.Chat"),
        ("functions/web/site.py", 'env.get_template("message.html")'),
        ("functions/web/templates/base.html", '<a href="/">Lobby</a>'),
        ("functions/web/templates/error.html", "Go to the lobby"),
        ("scripts/checkup/sockets.py", 'await client.ask("join", {"room": "den"})'),
        ("tests/socket_host/test_floods.py", 'await ann.send("input-change", "x")'),
    ],
)
def test_offence_is_found(path: str, words: str) -> None:
    """A reference to the chat is found in any file of the framework."""
    assert offences(path, words)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("functions/app.py", "from functions import pages"),
        ("socket_host/__main__.py", "from socket_host.events import namespaces"),
        ("scripts/local/server.py", "from functions.model.settings import settings as declared"),
        ("socket_host/namespace.py", 'raise EventError("This message is too long.")'),
        (
            "infra/template.yaml",
            "# --- Yours: it ---\nROOM_LOG: x\n# --- end of yours ---",
        ),
    ],
)
def test_allowed_references(path: str, words: str) -> None:
    """The two lists, declared settings, and marked sections are allowed."""
    assert not offences(path, words)
