"""The site around the pages: errors, sessions, static files, headers, settings."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from functions import app as door
from functions.contract.session import COOKIE, SAMPLE_SECRET, Session, Sessions
from functions.contract.setting import SettingError
from functions.web.assets import Assets
from functions.web.emit import Emitter
from functions.web.settings import Settings
from functions.web.site import Site
from functions.web.visitor import sign_in
from tests.functions import answering
from tests.kit.lambda_events import FRONT_DOORS, Event, http_api, invoke
from tests.small_app import pages, site
from tests.small_app.model.posts import Posts
from tests.small_app.model.settings import settings as declared

Serve = Callable[[Settings], None]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves the small app's pages with given settings."""
    opened: list[Posts] = []

    class Kept(Posts):
        def __init__(self, path: str) -> None:
            super().__init__(path)
            opened.append(self)

    monkeypatch.setattr(pages, "Posts", Kept)
    own = {"POSTS": f"{tmp_path}/posts.sqlite3", "MOST_VOTES": 9, "GREETING": "Hello"}

    def serve(settings: Settings) -> None:
        app = door.create_app(replace(settings, own=own), pages)
        monkeypatch.setattr(site.handler, "app", app)

    yield serve
    for posts in opened:
        posts.close()


@pytest.mark.parametrize("path", ["/nope", "/about/a", "/static/nope.js"])
def test_not_found(path: str) -> None:
    """A missing page gets a 404 with a page of the site that links to the front page."""
    answer = invoke(http_api(path))
    assert answer["statusCode"] == 404
    assert "There is no such page" in answer["body"]
    assert '<a class="brand" href="/">' in answer["body"]
    assert answer["headers"]["cache-control"] == "private, no-store"


def test_wrong_method() -> None:
    """A method that a page does not accept is refused, with the accepted ones in Allow."""
    answer = invoke(http_api("/about", method="POST"))
    assert answer["statusCode"] == 405
    assert set(answer["headers"]["allow"].split(", ")) == {"GET", "HEAD"}
    assert "not for this kind of request" in answer["body"]


async def broken(request: object) -> None:
    raise RuntimeError("secret detail")


@pytest.mark.parametrize("development", [False, True])
def test_failing_page(
    development: bool,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failing page shows no details, except in development, and logs the cause."""
    monkeypatch.setattr(pages, "routes", [Route("/", broken)])
    serve(Settings(SAMPLE_SECRET, development=development))
    answer = invoke(http_api("/", accept="text/html"))
    assert answer["statusCode"] == 500
    assert ("secret detail" in answer["body"]) is development
    assert ("This is not your fault" in answer["body"]) is not development
    assert "secret detail" in caplog.text
    assert "content-security-policy" in answer["headers"]


def test_broken_template_stops_the_start(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates are compiled at the start, so that a broken one is found at once."""
    for part in ("templates", "static"):
        shutil.copytree(Path(pages.__path__[0]) / part, tmp_path / part)
    (tmp_path / "templates/mine.html").write_text("{% if %}")
    monkeypatch.setattr(pages, "__path__", [str(tmp_path)])
    with pytest.raises(TemplateSyntaxError):
        serve(Settings("a secret of this test, long enough"))


@pytest.mark.parametrize(("path", "words"), [("/nope", "404 Not Found"), ("/", "500 Internal")])
def test_error_page_that_fails(
    path: str,
    words: str,
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If error.html itself fails, the status is right all the same, and the log has the cause."""
    for part in ("templates", "static"):
        shutil.copytree(Path(pages.__path__[0]) / part, tmp_path / part)
    (tmp_path / "templates/error.html").write_text("{{ nothing.of.this }}")
    monkeypatch.setattr(pages, "__path__", [str(tmp_path)])
    monkeypatch.setattr(pages, "routes", [Route("/", broken)])
    serve(Settings("a secret of this test, long enough"))
    answer = invoke(http_api(path, accept="text/html"))
    assert str(answer["statusCode"]) == words[:3]
    assert answer["body"].startswith(words)
    assert "content-security-policy" in answer["headers"]
    assert "'nothing' is undefined" in caplog.text


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.html.j2", "a", "a.txt"])
def test_escaping(name: str, tmp_path: Path) -> None:
    """Templates escape inserted values, whatever their names, except plain-text ones."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / name).write_text("{{ x }}")
    settings = Settings(SAMPLE_SECRET)
    made = Site.create(settings, Emitter(), tmp_path).templates.get_template(name)
    assert made.render(x="<b>") == ("<b>" if name == "a.txt" else "&lt;b&gt;")


@pytest.mark.parametrize("build", FRONT_DOORS)
def test_every_front_door(build: Any) -> None:
    """HTTP API, REST API, load balancer and function URL events all get the page and cookie."""
    answer = invoke(build("/"))
    assert answer["statusCode"] == 200
    assert "hello</h1>" in answer["body"]
    headers = str([answer.get(part) for part in ("headers", "multiValueHeaders", "cookies")])
    assert COOKIE in headers


@pytest.mark.parametrize("build", FRONT_DOORS)
def test_cookie_is_read_behind_every_front_door(build: Any) -> None:
    """The session cookie is read, whichever service invoked the function."""
    cookie = f"{COOKIE}={Sessions(SAMPLE_SECRET).issue(Session(id='me-1', name='Ann'))}"
    answer = invoke(build("/", cookie=f"other=1; {cookie}"))
    assert "Post as Ann" in answer["body"]


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


@pytest.mark.parametrize(
    ("cache", "is_set"),
    [
        ("public, max-age=60", False),
        ("PUBLIC", False),
        ("max-age=0, s-maxage=60", False),
        ("private, no-store", True),
        ("no-cache", True),
        ("max-age=60", True),
        (None, True),
    ],
)
@pytest.mark.parametrize("signs_in", [False, True])
def test_response_for_everybody(cache: str | None, is_set: bool, signs_in: bool) -> None:
    """A cache that stores a response for all must not give them all the same session."""

    async def page(request: Request) -> Response:
        if signs_in:
            sign_in(request, id="ann", name="Ann")
        return PlainTextResponse("", headers={"cache-control": cache} if cache else {})

    answer = answering.site(Route("/", page))("/")
    assert ("cookies" in answer) is (is_set or signs_in)


@pytest.mark.parametrize("token", ["forged", "", '"', "a.b.c"])
def test_bad_session_is_replaced(token: str) -> None:
    """An invalid cookie, such as one signed with an old secret, is replaced."""
    assert cookie_of(http_api("/", cookie=f"{COOKIE}={token}"))


def test_cookie_is_secure_outside_development(
    serve: Serve,
) -> None:
    """In production the cookie is Secure."""
    serve(Settings("a secret of this test, long enough"))
    assert "Secure" in (cookie_of(http_api("/")) or "")


def test_static_files_are_kept_for_ever() -> None:
    """Every script and style of a page has a hash in its name and may be cached for a year."""
    urls = re.findall(r'(?:src|href)="(/static/[^"]+)"', invoke(http_api("/"))["body"])
    assert len(urls) == 2
    for url in urls:
        assert re.search(r"\.[0-9a-f]{12}\.(svg|css)$", url)
        answer = invoke(http_api(url))
        assert answer["headers"]["cache-control"] == "public, max-age=31536000, immutable"
        assert "cookies" not in answer
    assert invoke(http_api("/static/dot.svg"))["headers"]["cache-control"] == "no-cache"


def test_style_sheets_are_joined(tmp_path: Path) -> None:
    """A style sheet is appended to the framework's of the same name; other files replace it."""
    ours, yours = tmp_path / "ours", tmp_path / "yours"
    for folder in (ours, yours):
        folder.mkdir()
        for name in ("look.css", "icon.svg"):
            (folder / name).write_text(f"/* {folder.name} */\n")
    assets = Assets(ours, yours)
    assert assets._assets["look.css"].content == b"/* ours */\n/* yours */\n"
    assert assets._assets["icon.svg"].content == b"/* yours */\n"


def test_scripts_import_each_other_by_hash() -> None:
    """The import map, which the security policy allows by its hash, leads to the hashed files."""
    answer = invoke(http_api("/"))
    import_map = re.search(r'<script type="importmap">(.*?)</script>', answer["body"])
    assert import_map
    assert '"/static/socket.io.esm.min.js":"/static/socket.io.esm.min.' in import_map[1]


@pytest.mark.parametrize("path", ["/", "/about", "/nope"])
def test_every_page_has_the_import_map(path: str) -> None:
    """Every page, including error pages, has the import map before any script."""
    body = invoke(http_api(path))["body"]
    assert body.count('<script type="importmap">') == 1
    assert "<script" not in body.partition('<script type="importmap">')[0]


def test_plain_names_have_an_etag() -> None:
    """A file under its plain name is revalidated each time, and sent only if it has changed."""
    first = invoke(http_api("/static/dot.svg"))
    tag = first["headers"]["etag"]
    assert tag.startswith('W/"')
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = invoke(http_api("/static/dot.svg", if_none_match=known))
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"]["etag"] == tag
        assert again["headers"]["cache-control"] == "no-cache"
    for other in ('"other"', "", "dot.svg"):
        again = invoke(http_api("/static/dot.svg", if_none_match=other))
        assert (again["statusCode"], again["body"]) == (200, first["body"])


@pytest.mark.parametrize("path", ["/", "/about", "/nope", "/about/", "/static/dot.svg"])
def test_security_headers(path: str) -> None:
    """Every response forbids foreign scripts, framing and type guessing."""
    headers = invoke(http_api(path))["headers"]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


OWN = {"POSTS": "/x", "MOST_VOTES": "9", "GREETING": "Hello"}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, ["SESSION_SECRET", "POSTS", "MOST_VOTES", "GREETING"]),
        ({"SESSION_SECRET": "short", **OWN}, ["SESSION_SECRET"]),
        ({"SESSION_SECRET": SAMPLE_SECRET, **OWN}, ["SESSION_SECRET"]),
        ({"SESSION_SECRET": "x" * 32, **OWN, "POSTS": ""}, ["POSTS"]),
        ({"SESSION_SECRET": "x" * 32, **OWN, "POSTS": "x"}, ["POSTS"]),
        ({"SESSION_SECRET": "x" * 32, **OWN, "STAGE": "dev"}, ["STAGE"]),
        ({"SESSION_SECRET": "x" * 32, **OWN, "BUS": "http://a.example"}, ["BUS"]),
        ({"SESSION_SECRET": "x" * 32, **OWN, "BUS": "sns:topic"}, ["BUS"]),
    ],
)
def test_bad_settings_are_named(environ: dict[str, str], named: list[str]) -> None:
    """A missing or malformed setting stops the start with a sentence that names it."""
    with pytest.raises(SettingError) as raised:
        Settings.from_environ(environ, declared)
    for name in ("SESSION_SECRET", *OWN, "STAGE", "BUS"):
        assert (f"{name} " in str(raised.value)) is (name in named)
