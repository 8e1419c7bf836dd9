"""Media types, encodings and names of static files in the function's responses."""

import base64
import gzip
import mimetypes
import re
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from functions.web.assets import Assets, _address
from functions.web.compression import wants_gzip
from tests.functions.answering import site
from tests.kit.lambda_events import function_url, http_api, invoke

# ---- Types ----

LONG = "x" * 2_000


def answered(response: Response, **asked: str) -> dict[str, Any]:
    """Return the result that the API gets for a page's response."""

    async def page(request: Request) -> Response:
        return response

    return site(Route("/", page, methods=["GET", "POST"]))("/", **asked)


def sent(answer: dict[str, Any]) -> bytes:
    """Return the bytes of a result's body."""
    body: str = answer["body"]
    return base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (Response(b"\x00\xff"), "application/octet-stream"),
        (Response(b"{}"), "application/octet-stream"),
        (Response("text"), "application/octet-stream"),
        (Response(b"x", media_type="image/png"), "image/png"),
        (Response("<p>", media_type="text/html"), "text/html; charset=utf-8"),
        (PlainTextResponse("é"), "text/plain; charset=utf-8"),
        (Response("<svg/>", media_type="image/svg+xml"), "image/svg+xml"),
        (PlainTextResponse(b"\xff"), "text/plain; charset=utf-8"),
        (Response(), None),
        (Response(status_code=204), None),
        (Response(status_code=304), None),
        (RedirectResponse("/a", 303), None),
        (RedirectResponse("/a"), None),
    ],
    ids=range(13),
)
def test_type(response: Response, kind: str | None) -> None:
    """A body has the type set by its page, or a generic one; an empty body has none."""
    answer = answered(response)
    assert answer["headers"].get("content-type") == kind
    assert sent(answer) == response.body


def test_redirects_have_no_type() -> None:
    """The redirect of a trailing slash has no body and no type."""
    for door in (http_api, function_url):
        answer = invoke(door("/about/"))
        assert answer["statusCode"] == 308
        assert "content-type" not in answer["headers"]


def test_body_in_pieces() -> None:
    """A body sent in pieces, by an app that sets no headers, is complete."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for piece in (b"\xc3", b"\xa9"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def page(request: Request) -> Any:
        return app

    answer = site(Route("/", page))("/")
    assert sent(answer) == "é".encode()
    assert answer["headers"]["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_error_in_the_middle_of_a_body(encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    """A body that fails half-way becomes the error page, with the headers of any response."""

    async def pieces() -> AsyncIterator[str]:
        yield LONG
        raise RuntimeError("secret detail")

    async def page(request: Request) -> Response:
        return StreamingResponse(pieces(), headers={"x-half": "1"})

    answer = site(Route("/", page))("/", accept="text/html", accept_encoding=encoding)
    assert answer["statusCode"] == 500
    text = sent(answer) if encoding == "identity" else gzip.decompress(sent(answer))
    assert b"This is not your fault" in text
    assert b"x" * 100 not in text
    assert "content-security-policy" in answer["headers"]
    assert "x-half" not in answer["headers"]
    assert "secret detail" in caplog.text


def test_error_after_the_response(caplog: pytest.LogCaptureFixture) -> None:
    """A background task that fails is in the log, and the response arrives."""

    async def task() -> None:
        raise RuntimeError("secret detail")

    answer = answered(PlainTextResponse("done", background=BackgroundTask(task)))
    assert (answer["statusCode"], answer["body"]) == (200, "done")
    assert "secret detail" in caplog.text


# ---- Compression ----

ENCODINGS = [
    ("gzip", True),
    ("deflate, gzip;q=1.0, *;q=0.5", True),
    ("gzip;q=0.001", True),
    ("gzip; q=0.5", True),
    ("GZIP", True),
    ("x-gzip", True),
    ("*", True),
    ("gzip, *;q=0", True),
    ("identity;q=0, *", True),
    ("identity;q=0.5, gzip;q=0.5", True),
    ("", False),
    ("br", False),
    ("gzip;q=0", False),
    ("gzip;q=0.0", False),
    ("gzip;q=0.000", False),
    ("gzip;Q=0", False),
    ("gzip ; q=0", False),
    ("gzip;\tq=0", False),
    ("gzip;q=0, *", False),
    ("*;q=0", False),
    ("identity", False),
    ("identity, gzip;q=0", False),
    ("identity;q=1, gzip;q=0.5", False),
    ("gzip;q=no", False),
    ("gzip;q=-1", False),
    ("gzip;q=", False),
    ("gzip;q=nan", False),
    ("gzip;q=\u00b2", False),
    ("notgzip", False),
    ("gzipped", False),
    ("gzip;q = 0", False),
    ("gzip; q =0.0", False),
    ("gzip;q", False),
    ("br, GZIP;Q=0.5", True),
    (";,;=;q", False),
]


@pytest.mark.parametrize(("header", "wanted"), ENCODINGS)
def test_wants_gzip(header: str, wanted: bool) -> None:
    """A client gets gzip if it accepts it, and does not prefer an uncompressed body."""
    assert wants_gzip(header) is wanted


@pytest.mark.parametrize("header", [header for header, _ in ENCODINGS])
def test_compression(header: str) -> None:
    """A compressed response has Content-Encoding, and Vary for caches."""
    answer = answered(PlainTextResponse(LONG), accept_encoding=header)
    is_gzip = answer["headers"].get("content-encoding") == "gzip"
    assert is_gzip is wants_gzip(header)
    assert (gzip.decompress(sent(answer)) if is_gzip else sent(answer)) == LONG.encode()
    assert answer["headers"]["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("etag", "compressed"), [('"a"', 'W/"a"'), ('W/"a"', 'W/"a"'), (None, None)]
)
@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_compressed_body_has_a_weak_etag(
    etag: str | None, compressed: str | None, accepted: str
) -> None:
    """A strong ETag is for the same bytes, and would let a client resume one form with another."""
    headers = {"etag": etag} if etag else {}
    answer = answered(PlainTextResponse(LONG, headers=headers), accept_encoding=accepted)
    assert answer["headers"].get("etag") == (compressed if accepted == "gzip" else etag)


def test_file_that_a_client_has_compressed(tmp_path: Path) -> None:
    """A StaticFiles file is not sent again to a browser that has it compressed."""
    (tmp_path / "a.txt").write_text(LONG)
    ask = site(Mount("/files", StaticFiles(directory=tmp_path)))
    etag = ask("/files/a.txt", accept_encoding="gzip")["headers"]["etag"]
    assert etag.startswith("W/")
    again = ask("/files/a.txt", accept_encoding="gzip", if_none_match=etag)
    assert again["statusCode"] == 304


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_status_without_a_body(status: int, accept: str) -> None:
    """A page that raises a status which has no body sends none, but its headers."""

    async def page(request: Request) -> Response:
        raise HTTPException(status, headers={"etag": '"a"'})

    answer = site(Route("/", page))("/", accept=accept)
    assert (answer["statusCode"], sent(answer)) == (status, b"")
    assert answer["headers"]["etag"] == '"a"'
    assert "content-type" not in answer["headers"]


# ---- Static files ----

NAMES = [
    "a#b.txt", "a%b.txt", "a%41.txt", "a?b.txt", "a b.txt", "a+b.txt", "a&b.txt", "a;b=c.txt",
    "a\"b'.txt", "a<b>.txt", "a\\b.txt", "a:b.txt", "a..b.txt", "%2e%2e.txt", "é.txt", "日本.txt",
    "🦊.txt", "folder with #/a.txt", "LICENSE", "a.b.c.txt", "~a@b!$()*,.txt",
]  # fmt: skip


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A folder of static files."""
    folder = tmp_path / "static"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_name_of_a_static_file(name: str, static: Path) -> None:
    """A file with any name is served at the address that pages use."""
    file = static / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"this is {name}")
    assets = Assets(static)
    hashed = assets.url(name)
    assert hashed.isascii()
    assert not set(hashed) & set(" #?\"'<>&\\")
    ask = site(__path__=[str(static.parent)])
    for address in (hashed, _address(name)):
        answer = ask(address)
        assert (answer["statusCode"], sent(answer)) == (200, file.read_bytes())


def test_spelling_of_accents(static: Path) -> None:
    """A file from macOS, which decomposes accents, is found by the composed name."""
    typed, stored = "caf\u00e9.js", unicodedata.normalize("NFD", "caf\u00e9.js")
    assert typed != stored
    (static / stored).write_text("1")
    assets = Assets(static)
    assert assets.url(typed) == assets.url(stored)
    ask = site(__path__=[str(static.parent)])
    for name in (typed, stored):
        assert ask(f"/static/{name}")["statusCode"] == 200


def test_name_that_is_not_text(static: Path) -> None:
    """A name that is not UTF-8 does not affect other files."""
    file = static / b"\xff.txt".decode(errors="surrogateescape")
    try:
        file.write_text("1")
    except OSError:
        pytest.skip("this file system does not allow such a name")
    (static / "a.txt").write_text("a")
    assert site(__path__=[str(static.parent)])("/static/a.txt")["body"] == "a"


@pytest.mark.parametrize("name", [".env", ".git/config", "a/.cache/b.js"])
def test_hidden_file(name: str, static: Path) -> None:
    """A hidden file, or a file in a hidden folder, is not served."""
    file = static / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("secret")
    assert site(__path__=[str(static.parent)])(f"/static/{name}")["statusCode"] == 404


def test_import_map_has_addresses(static: Path) -> None:
    """The import map has URL-encoded addresses, whatever the names of scripts."""
    (static / "a b#.js").write_text("1")
    assets = Assets(static)
    assert "/static/a%20b%23.js" in assets.import_map
    assert unquote(assets.url("a b#.js")).startswith("/static/a b#.")


def test_browser_that_has_a_file(static: Path) -> None:
    """A file under its plain name is revalidated each time, and sent only if it has changed."""
    (static / "a.js").write_text("1")
    ask = site(__path__=[str(static.parent)])
    first = ask("/static/a.js")
    etag = first["headers"]["etag"]
    for has in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
        again = ask("/static/a.js", if_none_match=has)
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"]["etag"] == etag
        assert again["headers"]["cache-control"] == "no-cache"
    for other in ("", '"x"', "x", etag[:-2], f"{etag}x"):
        assert ask("/static/a.js", if_none_match=other)["statusCode"] == 200
    (static / "a.js").write_text("2")
    assert site(__path__=[str(static.parent)])("/static/a.js", if_none_match=etag)["body"] == "2"


def test_every_page_has_the_import_map(static: Path) -> None:
    """Every page, including error pages, has the import map before any script."""
    (static / "a.mjs").write_text("1")
    page = site(__path__=[str(static.parent)])("/none")["body"]
    assert re.search(
        r'<script type="importmap">{"imports":{.*"/static/a.mjs":"/static/a\.\w+\.mjs"', page
    )


TYPES = {
    "a.js": "text/javascript; charset=utf-8",
    "a.mjs": "text/javascript; charset=utf-8",
    "A.JS": "text/javascript; charset=utf-8",
    "a.css": "text/css; charset=utf-8",
    "a.html": "text/html; charset=utf-8",
    "a.json": "application/json",
    "a.map": "application/json",
    "a.webmanifest": "application/manifest+json",
    "a.svg": "image/svg+xml",
    "a.webp": "image/webp",
    "a.avif": "image/avif",
    "a.ico": "image/vnd.microsoft.icon",
    "a.wasm": "application/wasm",
    "a.woff2": "font/woff2",
    "a.mp4": "video/mp4",
    "a.tar.gz": "application/gzip",
    "a.unheard-of": "application/octet-stream",
    "a": "application/octet-stream",
}


@pytest.mark.parametrize("name", TYPES)
def test_type_of_a_static_file(name: str, static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's type does not depend on the machine."""
    monkeypatch.setattr(mimetypes, "guess_type", lambda *_, **__: ("text/x-other", None))
    (static / name).write_text("1")
    answer = site(__path__=[str(static.parent)])(f"/static/{name}")
    assert answer["headers"]["content-type"] == TYPES[name]
