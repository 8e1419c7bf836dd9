"""Pages are whole without JavaScript, each visitor's own, and right behind every front door."""

import base64
import gzip
import json
import re
import shutil
import tomllib
import uuid
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError
from starlette.routing import Route

from functions import app as door
from functions import pages
from functions.contract.session import COOKIE, SAMPLE_SECRET, Session, Sessions
from functions.contract.setting import SettingError
from functions.model.room_log import RoomLog
from functions.model.settings import settings as declared
from functions.pages import rooms
from functions.web.settings import Settings
from tests.kit.lambda_events import FRONT_DOORS, Event, http_api, invoke


class Page(HTMLParser):
    """What a reader without JavaScript gets: visible text, and the elements' attributes."""

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
        """The attributes of the one element that has these."""
        (found,) = [found for _, found in self.elements if wanted.items() <= found.items()]
        return found


@pytest.fixture
def room() -> str:
    """A room of this test's own."""
    return f"room-{uuid.uuid4()}"


@pytest.fixture
def log() -> RoomLog:
    """The room log that the handler reads."""
    app: Any = door.handler.app
    while not hasattr(app, "state"):
        app = app.app
    found: RoomLog = app.state.rooms.log
    return found


@pytest.fixture
def create(log: RoomLog, monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], Any]:
    """Makes the app of other settings, with the room log that is open already."""
    monkeypatch.setattr(rooms, "open_room_log", lambda setting: log)
    return lambda settings: door.create_app(replace(settings, own={"ROOM_LOG": ""}), pages)


def get(path: str, query: str = "", **headers: str) -> tuple[int, Page, dict[str, Any]]:
    answer = invoke(http_api(path, query, **headers))
    return answer["statusCode"], Page(answer["body"]), answer


def test_room_shows_history_and_text(room: str, log: RoomLog) -> None:
    """The server renders what was said and what is being typed, with names and times."""
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
    """A room with a long past still makes a small page, which ends with the newest."""
    for number in range(60):
        log.append(room, id=f"m{number}", author="a", name="Ann", text=f"number {number}.")
    _, page, _ = get(f"/rooms/{room}")
    assert "number 59." in page.text
    assert "number 10." in page.text
    assert "number 9." not in page.text


def test_own_messages_are_marked(room: str, log: RoomLog) -> None:
    """A visitor's own messages look their own, whoever else has seen them before."""
    log.append(room, id="m1", author="ann", name="Ann", text="hello")
    log.append(room, id="m2", author="bob", name="Bob", text="good day")
    for me, own in (("cy", []), ("ann", ["m1"]), ("bob", ["m2"]), ("cy", [])):
        cookie = f"{COOKIE}={Sessions(SAMPLE_SECRET).issue(Session(me, me))}"
        _, page, _ = get(f"/rooms/{room}", cookie=cookie)
        marked = [found for _, found in page.elements if found.get("class") == "mine"]
        assert [found["data-id"] for found in marked] == own


def test_lobby_is_the_front_page() -> None:
    """The front page is the room of everybody who joins none."""
    _, page, _ = get("/")
    assert page.one(id="room")["data-room"] == "lobby"


def test_about_says_who_served_it() -> None:
    """The about page names the function that rendered it, as Lambda calls it."""
    context = SimpleNamespace(
        function_name="pages-1", aws_request_id="request-1", memory_limit_in_mb="512"
    )
    answer = invoke(http_api("/about"), context)
    for words in ("The function did", "socket host", "pages-1", "request-1", "512"):
        assert words in answer["body"]


@pytest.mark.parametrize("path", ["/nope", "/rooms/UPPER", "/rooms/a/b", "/static/nope.js"])
def test_not_found(path: str) -> None:
    """What does not exist answers 404 with a page of the site, and a way on."""
    status, page, answer = get(path)
    assert status == 404
    assert "There is no such page" in page.text
    assert page.one(**{"class": "brand"})
    assert answer["headers"]["cache-control"] == "private, no-store"


def test_wrong_method() -> None:
    """A method that a page does not take is refused with the ones it does."""
    answer = invoke(http_api("/about", method="POST"))
    assert answer["statusCode"] == 405
    assert set(answer["headers"]["allow"].split(", ")) == {"GET", "HEAD"}


async def broken(request: object) -> None:
    raise RuntimeError("secret detail")


@pytest.mark.parametrize("development", [False, True])
def test_failing_page(
    development: bool,
    create: Callable[[Settings], Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A page that fails says so without detail, logs the cause, and shows it in development."""
    monkeypatch.setattr(pages, "routes", [Route("/", broken)])
    settings = Settings(SAMPLE_SECRET, development=development)
    monkeypatch.setattr(door.handler, "app", create(settings))
    answer = invoke(http_api("/", accept="text/html"))
    assert answer["statusCode"] == 500
    assert ("secret detail" in answer["body"]) is development
    assert ("nothing you wrote is lost" in answer["body"]) is not development
    assert "secret detail" in caplog.text
    assert "content-security-policy" in answer["headers"]


def test_broken_template_stops_the_start(
    create: Callable[[Settings], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates are compiled with the start: what a deployment would break, it shows at once."""
    for part in ("templates", "static"):
        shutil.copytree(Path(pages.__path__[0]) / part, tmp_path / part)
    (tmp_path / "templates/mine.html").write_text("{% if %}")
    monkeypatch.setattr(pages, "__path__", [str(tmp_path)])
    with pytest.raises(TemplateSyntaxError):
        create(Settings("a secret of this test, long enough"))


def test_open_room_form() -> None:
    """A room's name typed into the form leads to the room; one that cannot be is explained."""
    status, _, answer = get("/rooms", "room=My+Garden")
    assert (status, answer["headers"]["location"]) == (303, "/rooms/my-garden")
    assert get("/rooms", "room=//evil.example")[0] == 404


@pytest.mark.parametrize("build", FRONT_DOORS)
def test_every_front_door(build: Any) -> None:
    """HTTP API, REST API, load balancer and function URL events all get the page and cookie."""
    answer = invoke(build("/"))
    assert answer["statusCode"] == 200
    assert "data-room" in answer["body"]
    headers = str([answer.get(part) for part in ("headers", "multiValueHeaders", "cookies")])
    assert COOKIE in headers


@pytest.mark.parametrize("build", FRONT_DOORS)
def test_cookie_is_read_behind_every_front_door(build: Any) -> None:
    """A visitor stays the same visitor, whichever service invoked the function."""
    cookie = f"{COOKIE}={Sessions(SAMPLE_SECRET).issue(Session(id='me-1', name='Ann'))}"
    answer = invoke(build("/", cookie=f"other=1; {cookie}"))
    assert 'data-me="me-1"' in answer["body"]


def cookie_of(event: Event) -> str | None:
    cookies = invoke(event).get("cookies", [])
    return str(cookies[0]) if cookies else None


def test_first_visit_gets_a_session() -> None:
    """A new visitor gets a signed cookie that scripts and other sites cannot use."""
    cookie = cookie_of(http_api("/"))
    assert cookie is not None
    token = cookie.split(";")[0].partition("=")[2]
    assert Sessions(SAMPLE_SECRET).verify(token).name
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert cookie_of(http_api("/", cookie=f"{COOKIE}={token}")) is None


@pytest.mark.parametrize("token", ["forged", "", '"', "a.b.c"])
def test_bad_session_is_replaced(token: str) -> None:
    """A cookie that is no session, of an old secret say, is replaced rather than an error."""
    assert cookie_of(http_api("/", cookie=f"{COOKIE}={token}"))


def test_cookie_is_secure_outside_development(
    create: Callable[[Settings], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production the cookie goes over HTTPS only."""
    settings = Settings("a secret of this test, long enough")
    monkeypatch.setattr(door.handler, "app", create(settings))
    assert "Secure" in (cookie_of(http_api("/")) or "")


def test_static_files_are_kept_for_ever() -> None:
    """Every script and style of a page has its hash in its name and may be kept for a year."""
    _, page, _ = get("/")
    urls = [
        url
        for _, attributes in page.elements
        for url in (attributes.get("src"), attributes.get("href"))
        if url and url.startswith("/static/")
    ]
    assert len(urls) == 4
    for url in urls:
        assert re.search(r"\.[0-9a-f]{12}\.(js|css)$", url)
        answer = invoke(http_api(url))
        assert answer["headers"]["cache-control"] == "public, max-age=31536000, immutable"
        assert "cookies" not in answer
    assert invoke(http_api("/static/room.js"))["headers"]["cache-control"] == "no-cache"


def test_scripts_import_each_other_by_hash() -> None:
    """The import map, which the security policy allows by its hash, leads to the hashed files."""
    answer = invoke(http_api("/"))
    import_map = re.search(r'<script type="importmap">(.*?)</script>', answer["body"])
    assert import_map
    assert '"/static/timeline.js":"/static/timeline.' in import_map[1]
    assert '"/static/socket.io.esm.min.js":"/static/socket.io.esm.min.' in import_map[1]


@pytest.mark.parametrize("path", ["/", "/about", "/nope", "/about/", "/static/room.js"])
def test_security_headers(path: str) -> None:
    """Whatever the function answers forbids foreign scripts, frames and type guessing."""
    headers = invoke(http_api(path))["headers"]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_first_load_is_small() -> None:
    """The front page with all it loads stays below 40 KB compressed, in at most 6 requests.

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


def test_settings_of_sam_local_are_good() -> None:
    """The function starts under `sam local` with the settings samconfig.toml gives it there."""
    root = Path(__file__).parent.parent.parent
    config = tomllib.loads((root / "samconfig.toml").read_text())
    file = config["default"]["local_start_api"]["parameters"]["env_vars"]
    settings = Settings.from_environ(json.loads((root / file).read_text())["Pages"], declared)
    assert settings.session_secret == SAMPLE_SECRET


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, ["SESSION_SECRET", "ROOM_LOG"]),
        ({"SESSION_SECRET": "short", "ROOM_LOG": "sqlite:x"}, ["SESSION_SECRET"]),
        ({"SESSION_SECRET": SAMPLE_SECRET, "ROOM_LOG": "sqlite:x"}, ["SESSION_SECRET"]),
        ({"SESSION_SECRET": "x" * 32, "ROOM_LOG": ""}, ["ROOM_LOG"]),
        ({"SESSION_SECRET": "x" * 32, "ROOM_LOG": "postgres:x"}, ["ROOM_LOG"]),
        ({"SESSION_SECRET": "x" * 32, "ROOM_LOG": "sqlite:x", "STAGE": "dev"}, ["STAGE"]),
        ({"SESSION_SECRET": "x" * 32, "ROOM_LOG": "sqlite:x", "BUS": "http://a.example"}, ["BUS"]),
        ({"SESSION_SECRET": "x" * 32, "ROOM_LOG": "sqlite:x", "BUS": "sns:topic"}, ["BUS"]),
    ],
)
def test_bad_settings_are_named(environ: dict[str, str], named: list[str]) -> None:
    """A missing or malformed setting stops the start with a sentence that names it."""
    with pytest.raises(SettingError) as raised:
        Settings.from_environ(environ, declared)
    for name in ("SESSION_SECRET", "ROOM_LOG", "STAGE", "BUS"):
        assert (f"{name} " in str(raised.value)) is (name in named)
