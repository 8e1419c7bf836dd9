"""A message can be sent without JavaScript: the function stores it and emits it to the sockets."""

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


class FakeEmitter(Emitter):
    """Records what is emitted, or fails."""

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
    """A new room."""
    return f"room-{uuid.uuid4()}"


@pytest.fixture
def emitter(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEmitter]:
    """The emitter of a new site."""
    emitter = FakeEmitter()
    monkeypatch.setattr(door, "open_emitter", lambda *_: emitter)
    settings = Settings.from_environ(os.environ, declared)
    monkeypatch.setattr(door.handler, "app", door.create_app(settings, pages))
    yield emitter
    opened().close()


@pytest.fixture
def log(emitter: FakeEmitter) -> RoomLog:
    """The room log of the new site."""
    return opened()


def opened() -> RoomLog:
    """The site's room log."""
    app: Any = door.handler.app
    while not hasattr(app, "state"):
        app = app.app
    found: RoomLog = app.state.rooms.log
    return found


def post(path: str, body: str | bytes, cookie: str = COOKIES) -> dict[str, Any]:
    """Post a form; return the function's response."""
    event = http_api(
        path, method="POST", cookie=cookie, content_type="application/x-www-form-urlencoded"
    )
    raw = body if isinstance(body, bytes) else body.encode()
    return invoke(event | {"body": base64.b64encode(raw).decode(), "isBase64Encoded": True})


def form(text: str, id: str = "m1") -> str:  # noqa: A002 - the form's word
    return urlencode({"id": id, "text": text})


def test_form_is_stored_and_emitted(room: str, emitter: FakeEmitter, log: RoomLog) -> None:
    """The form's message is stored and emitted to the room, then the page redirects to it."""
    answer = post(f"/rooms/{room}", form("hello\r\nyou & me"))
    assert (answer["statusCode"], answer["headers"]["location"]) == (303, f"/rooms/{room}")
    (message,) = log.latest(room)
    assert (message.text, message.author, message.name) == ("hello\nyou & me", "me", "Ann Lee")
    assert emitter.messages == [("message", message.to_json(), room)]


def test_lobby_form_leads_back_to_the_lobby(emitter: FakeEmitter) -> None:
    """The lobby's only address is the front page."""
    answer = post("/rooms/lobby", form("hello", uuid.uuid4().hex))
    assert (answer["statusCode"], answer["headers"]["location"]) == (303, "/")


def test_second_try_is_not_a_second_message(room: str, emitter: FakeEmitter, log: RoomLog) -> None:
    """Sending the same form again stores nothing new."""
    for _ in range(2):
        assert post(f"/rooms/{room}", form("hello"))["statusCode"] == 303
    assert len(log.latest(room)) == 1


def test_stored_although_the_emit_fails(room: str, emitter: FakeEmitter, log: RoomLog) -> None:
    """A message is stored even if the sockets cannot be reached."""
    emitter.away = True
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
    body: str | bytes, status: int, room: str, emitter: FakeEmitter, log: RoomLog
) -> None:
    """An invalid message is not stored, and its text stays in the form."""
    assert post(f"/rooms/{room}", body)["statusCode"] == status
    assert log.latest(room) == []
    assert emitter.messages == []


def test_long_draft_is_returned(room: str, emitter: FakeEmitter) -> None:
    """A text that is too long is shown again, with the reason, so that it can be shortened."""
    answer = post(f"/rooms/{room}", form("<x>" * 1_000))
    assert "A message has 1 to 2,000 characters." in answer["body"]
    assert "&lt;x&gt;" * 1_000 in answer["body"]


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=forged"])
def test_other_sites_cannot_write(
    cookie: str, room: str, emitter: FakeEmitter, log: RoomLog
) -> None:
    """A form without the session cookie, as another site's page would send it, is refused."""
    answer = post(f"/rooms/{room}", form("spam"), cookie)
    assert answer["statusCode"] == 403
    assert "please go back and send it again" in answer["body"]
    assert log.latest(room) == []
    assert any(made.startswith(COOKIE) for made in answer["cookies"])
