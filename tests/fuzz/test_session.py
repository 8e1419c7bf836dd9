"""Sessions: a token verifies only if it is exactly as issued."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.session import Session, SessionError, Sessions
from tests.fuzz.effort import examples
from tests.fuzz.target import Target
from tests.kit.hosts import SECRET

_SESSION = Session("visitor", "Zoë 🦊")


@cache
def _sessions() -> Sessions:
    return Sessions(SECRET)


@cache
def _token() -> str:
    return _sessions().issue(_SESSION)


def check(data: bytes) -> None:
    """Check bytes as a token; `$` stands for an issued one."""
    check_token(data.decode(errors="surrogateescape").replace("$", _token()))


def check_token(token: str) -> None:
    """Assert that an issued token verifies, and any other raises SessionError."""
    try:
        assert _sessions().verify(token) == _SESSION
    except SessionError:
        assert token != _token()
    else:
        assert token == _token(), "a token that was never issued"
    assert isinstance(_sessions().is_due(token), bool)


@st.composite
def _mutations(draw: st.DrawFn) -> str:
    """Tokens that differ slightly from an issued one."""
    token = _token()
    at = draw(st.integers(0, len(token)))
    more = draw(st.text("=.-_ \t\nAz09+/", max_size=3) | st.text(max_size=2))
    return token[:at] + more + token[at + draw(st.integers(0, 2)) :]


TARGET = Target("session", check, (b"$", b".", b"=", b"==", b"\xff", b" ", b"\n"))


@examples(400)
@given(_mutations() | st.text(st.characters(codec="ascii"), max_size=20))
def test_any_token(token: str) -> None:
    """Only issued tokens verify; anything else raises SessionError."""
    check_token(token)


@pytest.mark.parametrize("token", ["=$", " $", "$.", ".$", "$$"])
def test_text_around_a_token_is_refused(token: str) -> None:
    """A token with anything around it is refused."""
    check_token(token.replace("$", _token()))


@pytest.mark.parametrize("token", ["$=", "$" + "=" * 95_000, "$\n", "$ ", "$!"])
def test_issued_token_has_one_form(token: str) -> None:
    """No other spelling of a token verifies: each would be cached, however long it is."""
    check_token(token.replace("$", _token()))


@pytest.mark.parametrize("token", [chr(0xD800), "$" + chr(0xDCFF), chr(0xDCFF) + ".a.b"])
def test_invalid_unicode_is_refused(token: str) -> None:
    """A lone surrogate, as in JSON or a head, is refused with SessionError too."""
    check_token(token.replace("$", _token()))
