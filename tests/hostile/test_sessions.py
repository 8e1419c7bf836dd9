"""What strangers can do with tokens and cookies: of their own, forged, planted or outlived."""

import asyncio
import contextlib
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from itsdangerous.encoding import base64_encode
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from functions import app as door
from functions.contract.cookie import HOST_COOKIE, read_cookie
from functions.contract.session import COOKIE, LEEWAY, MAX_AGE, Session, SessionError, Sessions
from functions.web.settings import Settings
from tests.hostile.victim import Victim, victim
from tests.kit.clients import clients, raw_client
from tests.kit.hosts import PATIENCE, SECRET, on_each_transport, token
from tests.kit.lambda_events import http_api, invoke
from tests.kit.protocol_client import Socket, frame, handshake, http_client, raw
from tests.small_app import pages, site

MB = 1_000_000
ANN = Session("ann", "Ann")
MALLORY = Session("mallory", "Mallory")


Build = Callable[..., None]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds the small app's pages anew, with a secret that cookies here are signed by."""

    def build(**changes: Any) -> None:
        own = {"POSTS": f"{tmp_path}/posts.sqlite3", "MOST_VOTES": 9, "GREETING": "Hello"}
        made = door.create_app(Settings(SECRET, own=own, **changes), pages)
        monkeypatch.setattr(site.handler, "app", made)

    return build


def aged(seconds: float, session: Session = ANN, secret: str = SECRET) -> str:
    """A token that was issued so many seconds ago."""
    now = time.time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now - seconds)
        return Sessions(secret).issue(session)


@contextlib.contextmanager
def memory(limit: int) -> Iterator[None]:
    """Fail if what is inside keeps more bytes than a limit."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < limit, f"{(after - before) / MB:.1f} MB"


# ---- One text is a session's token ----


def spellings(good: str) -> list[str]:
    """Other texts that say the same as a token, to whoever decodes before comparing."""
    payload, stamp, signature = good.split(".")
    spare = chr(ord(stamp[-1]) + 1)  # the last of its bits are over
    return [
        *(good + more for more in ("=", "==", "=" * 95_000, " ", "\n", "!", "\0", "\u00df", ".")),
        *(more + good for more in (" ", "=", "\n", ".", '"')),
        f"{payload}=.{stamp}.{signature}",
        f"{payload}.{stamp}==.{signature}",
        f"{payload}.{stamp[:-1]}{spare}.{signature}",
        f"{payload}.AAAA{stamp}.{signature}",
        f"{payload}.{stamp}.{signature[:16]}!{signature[16:]}",
        f"{payload}.{stamp}.{signature[:16]}\n{signature[16:]}",
        f"{payload}.{stamp}.{signature.replace('_', '/').replace('-', '+')}=",
        good.replace(".", "\uff0e"),
        good.encode().decode("utf-16-le", "replace"),
        good + "\ud800",
    ]


def test_one_text_is_a_token() -> None:
    """Of all spellings of a token only the one that was issued verifies, and only it is kept."""
    sessions = Sessions(SECRET)
    good = sessions.issue(ANN)
    kept = sessions.verify(good), sessions._verified.size
    for other in spellings(good):
        with pytest.raises(SessionError):
            sessions.verify(other)
    assert (sessions.verify(good), sessions._verified.size) == kept


@pytest.mark.parametrize(
    "payload",
    [
        b'["ann","Ann"]',  # without the space
        b'["ann", "Ann"] ',
        b'["\\u0061nn", "Ann"]',
        b'["ann", "Ann", "more"]',
        '["zoë", "Zoë"]'.encode(),
    ],
)
def test_signed_but_not_as_issued(payload: bytes) -> None:
    """Even with the secret, what `issue` would have written otherwise is refused."""
    sessions = Sessions(SECRET)
    text = sessions._signer.sign(base64_encode(payload)).decode()
    with pytest.raises(SessionError):
        sessions.verify(text)


@pytest.mark.parametrize("stamp", ["AAAA", "AGFh", "________", "__________8"])
def test_signed_at_another_time(stamp: str) -> None:
    """A time with zeros before it, or one far from now, is refused, however it was signed."""
    sessions = Sessions(SECRET)
    value = f"{sessions.issue(ANN).partition('.')[0]}.{stamp}"
    signature = sessions._signer.get_signature(value).decode()
    with pytest.raises(SessionError):
        sessions.verify(f"{value}.{signature}")


def test_too_large_a_session_is_not_issued() -> None:
    """A session whose token nobody would accept is an error where it is made."""
    with pytest.raises(ValueError, match="1,024 characters"):
        Sessions(SECRET).issue(Session("ann", "A" * 1_000))


@on_each_transport
async def test_padded_tokens_take_no_memory(transport: str, tmp_path: Path) -> None:
    """Tokens with 3 kB behind them, by websocket one after another, leave nothing in the host."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        good = token("Ann")
        await knock(host, good)
        before = host.rss()
        for number in range(150):
            refusal = await knock(host, good + "=" * (3_000 - number))
            assert refusal is not None
            assert refusal["data"] == {"code": "session"}
        assert host.rss() - before < 6 * MB


async def knock(host: Victim, session: str) -> Any:
    """Connect with a token; return None if that was granted, else the refusal."""
    async with http_client(host.port) as http, http.websocket() as socket:
        await socket.receive()
        await socket.send("40" + json.dumps({"session": session}))
        while not (answer := str(await socket.receive())).startswith("4"):
            assert answer == "2", answer
        return json.loads(answer[2:]) if answer.startswith("44") else None


# ---- Every cache has a bound in bytes ----


def test_remembered_tokens_are_bounded() -> None:
    """However many tokens a stranger collects, and however long they are, 10 MB are kept."""
    sessions = Sessions(SECRET)
    with memory(10 * MB):
        for number in range(12_000):
            sessions.verify(sessions.issue(Session(f"{number:0700}", "\U0001f98a")))
    assert sessions._verified.size <= sessions._verified.max_bytes


# ---- The two halves read a cookie alike ----

VALID, PLANTED = token("Ann"), Sessions(SECRET).issue(MALLORY)
FORGED = VALID[:-1] + ("A" if VALID[-1] != "A" else "B")
OTHER = f"{COOKIE}2=x; x{COOKIE}=x"

HEADERS = [
    (f"{COOKIE}={VALID}", "ann"),
    (f'{COOKIE}="{VALID}"', "ann"),
    (f"a=1; \t{COOKIE} = {VALID} ; b=2", "ann"),
    (f"a=1,{COOKIE}={VALID},b=2", "ann"),
    (f"{HOST_COOKIE}={VALID}", "ann"),
    # Two of the name: the first that verifies, the prefix before all others.
    (f"{COOKIE}={FORGED}; {COOKIE}={VALID}", "ann"),
    (f"{COOKIE}={VALID}; {COOKIE}={FORGED}", "ann"),
    (f"{COOKIE}={VALID}; {COOKIE}={PLANTED}", "ann"),
    (f"{COOKIE}={PLANTED}; {HOST_COOKIE}={VALID}", "ann"),
    (f"{HOST_COOKIE}={FORGED}; {COOKIE}={VALID}", "ann"),
    (f"{HOST_COOKIE}=; {COOKIE}={VALID}", "ann"),
    (f"{COOKIE}={FORGED}; " * 100 + f"{HOST_COOKIE}={VALID}", "ann"),
    (f"{COOKIE}={'x' * 5_000}; {COOKIE}={VALID}", "ann"),
    # What a sibling can plant to look like the prefix.
    (f"a=1,{HOST_COOKIE}={PLANTED}; {HOST_COOKIE}={VALID}", "ann"),
    (f"a=1,{HOST_COOKIE}={PLANTED}; {COOKIE}={VALID}", "ann"),
    (f"\u00a0{HOST_COOKIE}={PLANTED}; {HOST_COOKIE}={VALID}", "ann"),
    (f"\u2003{HOST_COOKIE}={PLANTED}; {COOKIE}={VALID}", "ann"),
    (f"{HOST_COOKIE.lower()}={PLANTED}; {HOST_COOKIE}={VALID}", "ann"),
    # No session.
    (f"{COOKIE}={FORGED}; " * 100 + f"{COOKIE}={VALID}", None),
    (f"{COOKIE}={VALID}=", None),
    (f'{COOKIE}="{VALID}', None),
    (f'{COOKIE}=""{VALID}""', None),
    (f"{COOKIE}", None),
    (f"{COOKIE}=", None),
    (f'{COOKIE}="', None),
    (f"{OTHER}={VALID}", None),
    (f"{COOKIE.upper()}={VALID}", None),
    (f"{COOKIE}={VALID}\u00ff", None),
    (f"{COOKIE}=\u00ff", None),
    (f"\u00ff{COOKIE}={VALID}", None),
    ("", None),
    (";" * 4_000, None),
    ("," * 4_000, None),
    ("=" * 4_000, None),
]


# By number: a token, which changes, must not be a test's name.
@pytest.mark.parametrize(("header", "who"), HEADERS, ids=range(len(HEADERS)))
def test_cookie_at_the_function(
    header: str, who: str | None, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """A page knows its visitor by the one cookie that both halves would take, and logs nothing."""
    build()
    answer = invoke(http_api("/about", cookie=header))
    assert answer["statusCode"] == 200
    assert found_by(header) == who
    renewed = [cookie for cookie in answer.get("cookies", []) if COOKIE in cookie]
    if who is None:
        assert read_cookie(renewed[0].partition(";")[0], Sessions(SECRET)).session != ANN
    else:
        assert all(
            read_cookie(c.partition(";")[0], Sessions(SECRET)).session == ANN for c in renewed
        )
    assert caplog.records == []


def found_by(header: str) -> str | None:
    try:
        return read_cookie(header, Sessions(SECRET)).session.id
    except SessionError:
        return None


@on_each_transport
async def test_cookie_at_the_host(transport: str, tmp_path: Path) -> None:
    """A socket is let in by the same cookies as a page, as bytes of any kind, and logs nothing."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        silent = host.log()
        for header, who in HEADERS:
            for raw_header in {header.encode(), header.encode("latin-1", "replace")}:
                assert (await entered(host, raw_header) is None) == (who is None), header
        assert host.log() == silent


async def entered(host: Victim, cookie: bytes) -> str | None:
    """Open a websocket with a Cookie header, byte for byte, and connect; None if refused."""
    async with raw(host.port) as connection:
        head = handshake().removesuffix(b"\r\n")
        connection.send(head + b"Cookie: " + cookie + b"\r\n\r\n")
        assert "101" in await connection.head()
        await connection.frame()
        connection.send(frame(b"40"))
        _, answer = await connection.frame()
        return answer.decode() if answer.startswith(b"40") else None


NOT_ENCODABLE = ["\udcff", f"{COOKIE}=\ud800", f"{COOKIE}={VALID}\udcff"]


@pytest.mark.parametrize("header", NOT_ENCODABLE, ids=range(len(NOT_ENCODABLE)))
def test_half_a_character_at_the_function(header: str, caplog: pytest.LogCaptureFixture) -> None:
    """A header that is no text is no session, in a page too."""
    answer = invoke(http_api("/about", cookie=header))
    assert answer["statusCode"] == 200
    assert any(COOKIE in cookie for cookie in answer["cookies"])
    assert caplog.records == []


@on_each_transport
async def test_tokens_that_are_no_text(transport: str, tmp_path: Path) -> None:
    """Half a character, control characters and the like in `auth` are no session, and no log."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        silent = host.log()
        for bad in ("\ud800", VALID + "\ud800", "\0", VALID + "\0", "\x7f", "\u2028", "ÿ", "a.b.c"):
            refusal = await knock(host, bad)
            assert refusal["message"].endswith("Reload the page to get a new one.")
        assert host.log() == silent


@pytest.mark.parametrize(
    ("development", "brought", "name"),
    [(False, COOKIE, HOST_COOKIE), (False, HOST_COOKIE, None), (True, COOKIE, None)],
)
def test_cookie_is_renamed_in_production(
    development: bool, brought: str, name: str | None, build: Build
) -> None:
    """Who comes with the plain name has the same session under the prefix from then on."""
    build(development=development)
    made = invoke(http_api("/about", cookie=f"{brought}={VALID}")).get("cookies", [])
    assert [cookie.partition("=")[0] for cookie in made] == ([name] if name else [])
    for cookie in made:
        assert {"Secure", "Path=/", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "domain" not in cookie.lower()
        assert read_cookie(cookie.partition(";")[0], Sessions(SECRET)).session == ANN


# ---- Clocks ----


@pytest.mark.parametrize(("ahead", "good"), [(1, True), (LEEWAY, True), (LEEWAY + 2, False)])
def test_clocks_differ_a_little(ahead: float, good: bool) -> None:
    """A token whose issuer's clock is a few seconds ahead is good; one from the future is not."""
    with contextlib.nullcontext() if good else pytest.raises(SessionError, match="expired"):
        assert Sessions(SECRET).verify(aged(-ahead)) == ANN


# ---- Only the site's own pages change something ----

OWN = "https://abc123.execute-api.eu-west-1.amazonaws.com"  # the host that events are for
ASKED = [
    ({"sec_fetch_site": "same-origin"}, 200),
    ({"sec_fetch_site": "none"}, 200),
    ({"sec_fetch_site": "same-origin", "origin": "https://evil.example"}, 200),
    ({"sec_fetch_site": "same-site"}, 403),
    ({"sec_fetch_site": "cross-site"}, 403),
    ({"sec_fetch_site": "same-site", "origin": OWN}, 403),
    ({"sec_fetch_site": "same-origin, cross-site"}, 403),
    ({"sec_fetch_site": "SAME-ORIGIN"}, 403),
    ({"sec_fetch_site": ""}, 403),
    ({"origin": OWN}, 200),
    ({"origin": "https://public.example", "x_forwarded_host": "public.example"}, 200),
    ({"origin": OWN, "x_forwarded_host": "public.example"}, 403),
    ({"origin": "https://sibling.eu-west-1.amazonaws.com"}, 403),
    ({"origin": f"{OWN}:444"}, 403),
    ({"origin": f"{OWN}/"}, 403),
    ({"origin": f"{OWN}.evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": ""}, 403),
    ({}, 200),  # the session's cookie came along
]


@pytest.fixture
def changed(build: Build, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods by which a page was changed that takes all of them."""
    done: list[str] = []

    async def change(request: Any) -> PlainTextResponse:
        done.append(request.method)
        return PlainTextResponse("done")

    unsafe = ["POST", "PUT", "PATCH", "DELETE"]
    monkeypatch.setattr(pages, "routes", [Route("/change", change, methods=unsafe)])
    build()
    return done


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("headers", "status"), ASKED)
def test_other_origins_change_nothing(
    headers: dict[str, str], status: int, method: str, changed: list[str]
) -> None:
    """Every unsafe method of every page is refused if another origin's page sent it, in words."""
    cookie = f"{HOST_COOKIE}={VALID}"
    answer = invoke(http_api("/change", method=method, cookie=cookie, **headers))
    assert answer["statusCode"] == status
    assert changed == ([method] if status == 200 else [])
    if status == 403:
        assert "Open the page on this site, and send it from there." in answer["body"]


@pytest.mark.parametrize("cookie", ["", f"{HOST_COOKIE}={FORGED}"], ids=["none", "forged"])
def test_what_says_no_origin_brings_a_session(cookie: str, changed: list[str]) -> None:
    """Without both headers, as with old browsers, only who brings a session changes something."""
    answer = invoke(http_api("/change", method="POST", cookie=cookie))
    assert (answer["statusCode"], changed) == (403, [])
    assert "please send your message again" in answer["body"]
    assert answer["cookies"][0].startswith(HOST_COOKIE)


@pytest.mark.parametrize(("path", "status"), [("/change", 405), ("/nope", 404)])
def test_what_no_page_takes(path: str, status: int, changed: list[str]) -> None:
    """Reading is nobody's business, and what no page takes is said as ever."""
    method = "GET" if path == "/change" else "POST"
    answer = invoke(http_api(path, method=method, sec_fetch_site="cross-site"))
    assert (answer["statusCode"], changed) == (status, [])


# ---- A socket ends with its session ----

SHORT = 3.0  # seconds that are left of a session
PINGS = {"PING_INTERVAL": "0.4", "PING_TIMEOUT": "5"}
EXPIRED = "Your session has expired. Reload the page to go on."


async def join(socket: Socket, session: str) -> None:
    """Connect with a token on a websocket that has just been opened."""
    await socket.receive()
    await socket.send("40" + json.dumps({"session": session}))
    assert str(await socket.hear_message()).startswith("40")


@on_each_transport
@pytest.mark.parametrize("pongs", ["asked", "unasked"])
async def test_websocket_ends_with_its_session(pongs: str, transport: str, tmp_path: Path) -> None:
    """A websocket is closed once its session has expired, however its client answers pings."""
    async with victim(tmp_path, TRANSPORT=transport, **PINGS) as host:
        short = aged(MAX_AGE - SHORT)
        async with http_client(host.port) as http, http.websocket() as socket:
            await join(socket, short)
            async with asyncio.timeout(PATIENCE):
                await (pong_unasked(socket) if pongs == "unasked" else pong(socket))
        with pytest.raises(SessionError, match="expired"):
            Sessions(SECRET).verify(short)
        refusal = {"message": EXPIRED, "data": {"code": "session"}}
        assert await knock(host, short) == refusal


async def pong(socket: Socket) -> None:
    """Answer pings until the host hangs up."""
    while await socket.hear_message() is not None:
        pass


async def pong_unasked(socket: Socket) -> None:
    """Answer pings before they come, all the time, until the host hangs up."""
    closed = asyncio.create_task(socket.closed())
    while not closed.done():
        with contextlib.suppress(ConnectionError):
            await socket.send("3")
        await asyncio.wait([closed], timeout=0.1)
    await closed


@on_each_transport
async def test_polling_ends_with_its_session(transport: str, tmp_path: Path) -> None:
    """A client that polls is let go once its session has expired."""
    async with victim(tmp_path, TRANSPORT=transport, **PINGS) as host:
        short = aged(MAX_AGE - SHORT)
        async with http_client(host.port) as http:
            client = await http.open()
            await client.post("40" + json.dumps({"session": short}))
            async with asyncio.timeout(PATIENCE):
                while (await client.get())[0] == 200:
                    await client.post("3")
        with pytest.raises(SessionError, match="expired"):
            Sessions(SECRET).verify(short)


@on_each_transport
async def test_expired_client_does_nothing(transport: str, tmp_path: Path) -> None:
    """From the moment a session has expired its events are refused, before any ping is due."""
    async with (
        victim(tmp_path, TRANSPORT=transport) as host,
        raw_client(host.url, aged(MAX_AGE - SHORT)) as ann,
    ):
        assert await ann.ask('["busy",true]') == {}
        async with asyncio.timeout(PATIENCE):
            while (answer := await ann.ask('["busy",true]')) == {}:  # noqa: ASYNC110 - asked, not told
                await asyncio.sleep(0.1)
        assert answer == {"error": EXPIRED, "retry": True}


@on_each_transport
@pytest.mark.parametrize("way", ["polling", "websocket"])
async def test_expired_client_is_told(way: str, transport: str, tmp_path: Path) -> None:
    """The official client takes the end for a drop, comes back, and hears that it has to reload."""
    async with (
        victim(tmp_path, TRANSPORT=transport, **PINGS) as host,
        clients("javascript", way) as people,
    ):
        ann = await people.connect(host.url, aged(MAX_AGE - SHORT))
        assert await ann.receive("disconnect") == "transport close"
        error = await ann.receive("connect_error")
        assert (error["message"], error["data"]) == (EXPIRED, {"code": "session"})
