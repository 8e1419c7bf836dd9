"""Nothing of ours knows the chat; and what looks for that finds it."""

import pytest

from tests import line
from tests.app.words import offences


def test_ours_knows_nothing_of_the_chat() -> None:
    """No file of ours imports or names something of the chat."""
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
    """What names or imports something of the chat is found in any file of ours."""
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
def test_the_lists_are_no_offence(path: str, words: str) -> None:
    """The two lists, declared settings, and what stands in a marked section may be there."""
    assert not offences(path, words)
