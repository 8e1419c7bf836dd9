"""Pages are complete without JavaScript, and show the visitor's own messages as such."""

import base64
import gzip
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

from functions import app as door
from functions import pages
from functions.contract.session import COOKIE, SAMPLE_SECRET, Session, Sessions
from functions.model.room_log import RoomLog, RoomLogError
from functions.pages import rooms
from functions.web.settings import Settings
from tests.kit.lambda_events import http_api
from tests.kit.yours import invoke


class Page(HTMLParser):
    """A page as seen without JavaScript: its visible text, and its elements' attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden += tag in ("script", "style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "title")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data

    def one(self, **wanted: str) -> dict[str, str | None]:
        """Return the attributes of the only element that has the given ones."""
        (found,) = [found for _, found in self.elements if wanted.items() <= found.items()]
        return found


@pytest.fixture
def room() -> str:
    """The name of a new room."""
    return f"room-{uuid.uuid4()}"


@pytest.fixture
def log() -> RoomLog:
    """The room log that the pages read."""
    app: Any = door.handler.app
    while not hasattr(app, "state"):
        app = app.app
    found: RoomLog = app.state.rooms.log
    return found


@pytest.fixture
def create(log: RoomLog, monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], Any]:
    """Creates an app with other settings that uses the room log that is already open."""
    monkeypatch.setattr(rooms, "open_room_log", lambda setting: log)
    return lambda settings: door.create_app(replace(settings, own={"ROOM_LOG": ""}), pages)


def get(path: str, query: str = "", **headers: str) -> tuple[int, Page, dict[str, Any]]:
    answer = invoke(http_api(path, query, **headers))
    return answer["statusCode"], Page(answer["body"]), answer


def test_room_shows_history_and_text(room: str, log: RoomLog) -> None:
    """The server renders messages, with names and times, and the current text."""
    log.append(room, id="m1", author="a1", name="Ann Lee", text="hello <b>there</b>")
    log.append(room, id="m2", author="a2", name="Bob", text="good day")
    log.keep_text(room, "a shared </textarea> note")
    status, page, _ = get(f"/rooms/{room}")
    assert status == 200
    for words in ("Ann Lee", "hello <b>there</b>", "good day", "a shared </textarea> note"):
        assert words in page.text
    assert page.text.index("hello") < page.text.index("good day")
    assert page.one(**{"data-room": room})["data-last"] == "2"
    assert re.search(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", page.text)


def test_history_on_the_page_is_bounded(room: str, log: RoomLog) -> None:
    """The page of a room with a long history shows only its newest messages."""
    for number in range(60):
        log.append(room, id=f"m{number}", author="a", name="Ann", text=f"number {number}.")
    _, page, _ = get(f"/rooms/{room}")
    assert "number 59." in page.text
    assert "number 10." in page.text
    assert "number 9." not in page.text


def test_own_messages_are_marked(room: str, log: RoomLog) -> None:
    """Own messages are marked as such for their author only."""
    log.append(room, id="m1", author="ann", name="Ann", text="hello")
    log.append(room, id="m2", author="bob", name="Bob", text="good day")
    for me, own in (("cy", []), ("ann", ["m1"]), ("bob", ["m2"]), ("cy", [])):
        cookie = f"{COOKIE}={Sessions(SAMPLE_SECRET).issue(Session(me, me))}"
        _, page, _ = get(f"/rooms/{room}", cookie=cookie)
        marked = [found for _, found in page.elements if found.get("class") == "mine"]
        assert [found["data-id"] for found in marked] == own


def test_lobby_is_the_front_page() -> None:
    """The front page is the lobby."""
    _, page, _ = get("/")
    assert page.one(id="room")["data-room"] == "lobby"


def test_about_shows_what_rendered_it() -> None:
    """The about page shows the function's name and the request's id, as Lambda gives them."""
    context = SimpleNamespace(
        function_name="pages-1", aws_request_id="request-1", memory_limit_in_mb="512"
    )
    answer = invoke(http_api("/about"), context)
    for words in ("The function did", "socket host", "pages-1", "request-1", "512"):
        assert words in answer["body"]


def test_open_room_form() -> None:
    """The form redirects to the room with that name; invalid names get an explanation."""
    status, _, answer = get("/rooms", "room=My+Garden")
    assert (status, answer["headers"]["location"]) == (303, "/rooms/my-garden")
    assert get("/rooms", "room=//evil.example")[0] == 404


def test_first_load_is_small() -> None:
    """The front page and its files take at most 6 requests and less than 40 KB, compressed.

    The sixth request is the websocket.
    """
    html = invoke(http_api("/", accept_encoding="gzip"))
    assert html["headers"]["content-encoding"] == "gzip"
    body = base64.b64decode(html["body"])
    urls = re.findall(r'(?:src|href)="(/static/[^"]+)"', gzip.decompress(body).decode())
    answers = [invoke(http_api(url, accept_encoding="gzip")) for url in set(urls)]
    sizes = [len(base64.b64decode(answer["body"])) for answer in answers]
    assert len(sizes) + 1 <= 5
    assert sum(sizes) + len(body) < 40_000


def test_room_log_that_cannot_be_used(
    log: RoomLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While rooms cannot be read, their pages show an error, and one log line says why."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RoomLogError("The table is gone.")

    monkeypatch.setattr(log, "state", fail)
    status, page, _ = get(f"/rooms/{uuid.uuid4().hex}")
    assert status == 503
    assert "This is not your fault. Try again in a moment." in page.text
    assert [(one.getMessage(), one.exc_info) for one in caplog.records] == [
        ("The table is gone.", None)
    ]
