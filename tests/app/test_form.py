"""A message can be written without JavaScript: the function stores it and tells the sockets."""

import base64
import os
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from functions import app as door
from functions import pages
from functions.contract.session import COOKIE, SAMPLE_SECRET, Session, Sessions
from functions.model.payloads import MAX_TEXT
from functions.model.room_log import RoomLog
from functions.model.settings import settings as declared
from functions.web.emit import EmitError, Emitter
from functions.web.settings import Settings
from tests.kit.lambda_events import http_api
from tests.kit.yours import invoke

ME = Session("me", "Ann Lee")
COOKIES = f"{COOKIE}={Sessions(SAMPLE_SECRET).issue(ME)}"


class Heard(Emitter):
    """An emitter that keeps what it is given, or is away."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any, str | None]] = []
        self.away = False

    def emit(
        self, event: str, data: Any = None, *, room: str | None = None, namespace: str = "/"
    ) -> str:
        if self.away:
            raise EmitError("the socket host is away")
        self.messages.append((event, data, room))
        return str(len(self.messages))


@pytest.fixture
def room() -> str:
    """A room of this test's own."""
    return f"room-{uuid.uuid4()}"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """What the pages emit, whose site is one of this test's own."""
    heard = Heard()
    monkeypatch.setattr(door, "open_emitter", lambda *_: heard)
    settings = Settings.from_environ(os.environ, declared)
    monkeypatch.setattr(door.handler, "app", door.create_app(settings, pages))
    yield heard
    opened().close()


@pytest.fixture
def log(heard: Heard) -> RoomLog:
    """The room log that these pages write to."""
    return opened()


def opened() -> RoomLog:
    """The room log that the site has opened."""
    app: Any = door.handler.app
    while not hasattr(app, "state"):
        app = app.app
    found: RoomLog = app.state.rooms.log
    return found


def post(path: str, body: str | bytes, cookie: str = COOKIES) -> dict[str, Any]:
    """What the function answers to a form."""
    event = http_api(
        path, method="POST", cookie=cookie, content_type="application/x-www-form-urlencoded"
    )
    raw = body if isinstance(body, bytes) else body.encode()
    return invoke(event | {"body": base64.b64encode(raw).decode(), "isBase64Encoded": True})


def form(text: str, id: str = "m1") -> str:  # noqa: A002 - the form's word
    return urlencode({"id": id, "text": text})


def test_form_is_stored_and_heard(room: str, heard: Heard, log: RoomLog) -> None:
    """What the form sends stands in the room, is said to its sockets, and the page comes back."""
    answer = post(f"/rooms/{room}", form("hello\r\nyou & me"))
    assert (answer["statusCode"], answer["headers"]["location"]) == (303, f"/rooms/{room}")
    (message,) = log.latest(room)
    assert (message.text, message.author, message.name) == ("hello\nyou & me", "me", "Ann Lee")
    assert heard.messages == [("message", message.to_json(), room)]


def test_lobby_form_leads_back_to_the_lobby(heard: Heard) -> None:
    """The lobby has one address, the front page."""
    answer = post("/rooms/lobby", form("hello", uuid.uuid4().hex))
    assert (answer["statusCode"], answer["headers"]["location"]) == (303, "/")


def test_second_try_is_not_a_second_message(room: str, heard: Heard, log: RoomLog) -> None:
    """A reload that sends the form again stores nothing new."""
    for _ in range(2):
        assert post(f"/rooms/{room}", form("hello"))["statusCode"] == 303
    assert len(log.latest(room)) == 1


def test_stored_though_nobody_hears(room: str, heard: Heard, log: RoomLog) -> None:
    """While the sockets cannot be reached a message is kept all the same."""
    heard.away = True
    assert post(f"/rooms/{room}", form("hello"))["statusCode"] == 303
    assert [message.text for message in log.latest(room)] == ["hello"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(" \r\n "), 400),
        (form("\u200b\u2060"), 400),
        (form("\0"), 400),
        (form("a\0b"), 400),
        (form("x" * (MAX_TEXT + 1)), 400),
        (form("hello", "x" * 65), 400),
        ("text=hello", 400),
        (b"\xff=\xfe", 400),
        ("&".join(f"a{n}=" for n in range(50)), 400),
        ("text=" + "x" * 70_000, 413),
    ],
)
def test_bad_forms_are_refused(
    body: str | bytes, status: int, room: str, heard: Heard, log: RoomLog
) -> None:
    """What is no message of this site is stored nowhere; what was written is still there."""
    assert post(f"/rooms/{room}", body)["statusCode"] == status
    assert log.latest(room) == []
    assert heard.messages == []


def test_draft_comes_back(room: str, heard: Heard) -> None:
    """Who wrote too much gets it back, with the reason, to shorten it."""
    answer = post(f"/rooms/{room}", form("<x>" * 1_000))
    assert "A message has 1 to 2,000 characters." in answer["body"]
    assert "&lt;x&gt;" * 1_000 in answer["body"]


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=forged"])
def test_other_sites_cannot_write(cookie: str, room: str, heard: Heard, log: RoomLog) -> None:
    """A form without the session's cookie, as another site's page would send it, is not taken."""
    answer = post(f"/rooms/{room}", form("spam"), cookie)
    assert answer["statusCode"] == 403
    assert "please go back and send it again" in answer["body"]
    assert log.latest(room) == []
    assert any(made.startswith(COOKIE) for made in answer["cookies"])
