"""Only tokens as issued are accepted, and others take no memory."""

import contextlib
from pathlib import Path

import pytest
from itsdangerous.encoding import base64_encode

from functions.contract.cookie import HOST_COOKIE, read_cookie
from functions.contract.session import COOKIE, LEEWAY, Session, SessionError, Sessions
from tests.hostile.tokens import (
    ANN,
    FORGED,
    OTHER,
    PLANTED,
    VALID,
    Build,
    aged,
    knock,
    spellings,
)
from tests.hostile.victim import Victim, victim
from tests.kit.hosts import SECRET, on_each_transport, token
from tests.kit.lambda_events import http_api, invoke
from tests.kit.memory import MB, memory
from tests.kit.protocol_client import frame, handshake, raw


def test_one_text_is_a_token() -> None:
    """Only the issued spelling of a token verifies and is cached."""
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
    """A payload that `issue` would have written differently is refused, even if signed."""
    sessions = Sessions(SECRET)
    text = sessions._signer.sign(base64_encode(payload)).decode()
    with pytest.raises(SessionError):
        sessions.verify(text)


@pytest.mark.parametrize("stamp", ["AAAA", "AGFh", "________", "__________8"])
def test_signed_at_another_time(stamp: str) -> None:
    """A time with leading zeros, or far from now, is refused, even if signed."""
    sessions = Sessions(SECRET)
    value = f"{sessions.issue(ANN).partition('.')[0]}.{stamp}"
    signature = sessions._signer.get_signature(value).decode()
    with pytest.raises(SessionError):
        sessions.verify(f"{value}.{signature}")


def test_too_large_a_session_is_not_issued() -> None:
    """A session whose token would be too long is an error when it is issued."""
    with pytest.raises(ValueError, match="1,024 characters"):
        Sessions(SECRET).issue(Session("ann", "A" * 1_000))


@on_each_transport
async def test_padded_tokens_take_no_memory(transport: str, tmp_path: Path) -> None:
    """Tokens with 3 kB appended leave nothing behind in the host."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        good = token("Ann")
        await knock(host, good)
        before = host.rss()
        for number in range(150):
            refusal = await knock(host, good + "=" * (3_000 - number))
            assert refusal is not None
            assert refusal["data"] == {"code": "session"}
        assert host.rss() - before < 6 * MB


def test_remembered_tokens_are_bounded() -> None:
    """At most 10 MB of tokens are cached, whatever their number and length."""
    sessions = Sessions(SECRET)
    with memory(10 * MB):
        for number in range(12_000):
            sessions.verify(sessions.issue(Session(f"{number:0700}", "\U0001f98a")))
    assert sessions._verified.size <= sessions._verified.max_bytes


HEADERS = [
    (f"{COOKIE}={VALID}", "ann"),
    (f'{COOKIE}="{VALID}"', "ann"),
    (f"a=1; \t{COOKIE} = {VALID} ; b=2", "ann"),
    (f"a=1,{COOKIE}={VALID},b=2", "ann"),
    (f"{HOST_COOKIE}={VALID}", "ann"),
    # Several cookies: the first valid one, with the prefix before others.
    (f"{COOKIE}={FORGED}; {COOKIE}={VALID}", "ann"),
    (f"{COOKIE}={VALID}; {COOKIE}={FORGED}", "ann"),
    (f"{COOKIE}={VALID}; {COOKIE}={PLANTED}", "ann"),
    (f"{COOKIE}={PLANTED}; {HOST_COOKIE}={VALID}", "ann"),
    (f"{HOST_COOKIE}={FORGED}; {COOKIE}={VALID}", "ann"),
    (f"{HOST_COOKIE}=; {COOKIE}={VALID}", "ann"),
    (f"{COOKIE}={FORGED}; " * 100 + f"{HOST_COOKIE}={VALID}", "ann"),
    (f"{COOKIE}={'x' * 5_000}; {COOKIE}={VALID}", "ann"),
    # Planted by a sibling to look like the prefix.
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
    """A page uses the same cookie as the socket host, and logs nothing."""
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
    """The host accepts the same cookies as a page, with any bytes, and logs nothing."""
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
    """A header that is not text has no session, in a page too."""
    answer = invoke(http_api("/about", cookie=header))
    assert answer["statusCode"] == 200
    assert any(COOKIE in cookie for cookie in answer["cookies"])
    assert caplog.records == []


@on_each_transport
async def test_tokens_that_are_not_text(transport: str, tmp_path: Path) -> None:
    """Lone surrogates, control characters and the like in `auth` are refused and not logged."""
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
    """A session in a cookie with the plain name is issued again with the prefix."""
    build(development=development)
    made = invoke(http_api("/about", cookie=f"{brought}={VALID}")).get("cookies", [])
    assert [cookie.partition("=")[0] for cookie in made] == ([name] if name else [])
    for cookie in made:
        assert {"Secure", "Path=/", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "domain" not in cookie.lower()
        assert read_cookie(cookie.partition(";")[0], Sessions(SECRET)).session == ANN


@pytest.mark.parametrize(("ahead", "good"), [(1, True), (LEEWAY, True), (LEEWAY + 2, False)])
def test_clocks_differ_a_little(ahead: float, good: bool) -> None:
    """A token from a clock that is a few seconds ahead is valid; one from the future is not."""
    with contextlib.nullcontext() if good else pytest.raises(SessionError, match="expired"):
        assert Sessions(SECRET).verify(aged(-ahead)) == ANN
