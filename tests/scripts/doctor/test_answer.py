"""Responses are interpreted as in a browser, even malformed ones."""

import gzip
import zlib
from http.cookies import SimpleCookie

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from scripts.commands.doctor.answer import MAX_BODY, Answer
from scripts.commands.doctor.diagnosis import led_away
from scripts.commands.doctor.finding import Failure
from scripts.commands.doctor.pages import page, session_cookie
from scripts.commands.doctor.reach import _check_https
from scripts.commands.doctor.site import Address, Site


def answer(status: int = 200, body: bytes = b"", cookie: str = "", **headers: str) -> Answer:
    """A response with headers, whose names have `_` for `-`."""
    names = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    cookies = SimpleCookie(cookie)
    return Answer("GET", "/", status, CIMultiDictProxy(names), cookies, body, "app.site.example")


def visited(front: Answer, address: str = "http://app.site.example") -> Site:
    site = Site(Address.parse(address))
    site.front = front
    return site


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", b"a page"),
        ("identity", b"a page"),
        ("gzip", gzip.compress(b"a page")),
        (" GZIP", gzip.compress(b"a page")),
        ("deflate", zlib.compress(b"a page")),
    ],
    ids=range(5),
)
def test_compressed_without_being_asked(encoding: str, body: bytes) -> None:
    """A page that is compressed without being asked is still read."""
    assert answer(body=body, content_encoding=encoding).text == "a page"


@pytest.mark.parametrize("encoding", ["br", "gzip", "gzip, br"])
def test_unreadable_compression(encoding: str) -> None:
    """A body that cannot be decompressed is not quoted."""
    found = answer(body=b"\xff\xfe noise", content_encoding=encoding)
    assert found.said == "GET / answered 200"


def test_compressed_bomb() -> None:
    """Decompression has a limit."""
    bomb = gzip.compress(bytes(20 * MAX_BODY))
    assert len(answer(body=bomb, content_encoding="gzip").text) == MAX_BODY


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; Charset=UTF-8", "TEXT/HTML"])
def test_media_types_have_no_case(kind: str) -> None:
    """A page is recognized in any spelling of its content type."""
    assert answer(content_type=kind).is_page


@pytest.mark.parametrize(
    "location", ["https://[bad", "http://[::1", "https://a:abc/", "http://a:99999/", "//[", "\\"]
)
async def test_malformed_location(location: str) -> None:
    """A redirect to a malformed address is a finding, not an error in doctor."""
    found = answer(302, location=location)
    _check_https(visited(found))
    assert led_away(found) is None
    with pytest.raises(Failure, match="answered 302"):
        await page(visited(found))


@pytest.mark.parametrize(
    "location", ["/", "", ".", "http://app.site.example/", "//app.site.example", "/#top"]
)
async def test_redirect_to_itself(location: str) -> None:
    """A page that redirects to itself is reported as a loop, not as a page elsewhere."""
    with pytest.raises(Failure) as raised:
        await page(visited(answer(302, location=location)))
    assert ("redirects to itself" in str(raised.value)) is bool(location)


@pytest.mark.parametrize("location", ["/a", "?a", "http://app.site.example:8080/"])
async def test_redirect_to_another_page(location: str) -> None:
    """A page that redirects to another page is not reported as a loop."""
    with pytest.raises(Failure, match="and redirects to"):
        await page(visited(answer(302, location=location)))


_HEALTHY = "sidepath_session=a.b; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ("Domain=site.example", "has the Domain site.example, not this host alone"),
        ("Domain=.SITE.example", "has the Domain site.example, not this host alone"),
        ("Domain=example", "has the Domain example, not this host alone"),
        ("Domain=app.other.example", "which does not include app.site.example"),
        ("Domain=x.app.site.example", "which does not include app.site.example"),
        ("Domain=pp.site.example", "which does not include app.site.example"),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", "has already expired by its Expires"),
        ("Max-Age=0", "has already expired by its Max-Age"),
    ],
)
async def test_cookie_that_is_dropped_or_shared(attributes: str, words: str) -> None:
    """A session cookie that browsers drop or send to other hosts is found."""
    with pytest.raises(Failure, match=words):
        await session_cookie(visited(answer(cookie=f"{_HEALTHY}; {attributes}")))


@pytest.mark.parametrize(
    "attributes",
    [
        "Domain=app.site.example",
        "Domain=.app.site.example",
        "Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "Expires=Fri, 01 Jan 2100 00:00:00 GMT",
        "Expires=never",
    ],
)
async def test_cookie_that_is_kept(attributes: str) -> None:
    """Other attributes are accepted."""
    await session_cookie(visited(answer(cookie=f"{_HEALTHY}; {attributes}")))
