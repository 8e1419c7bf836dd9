"""Sessions are accepted only if they are genuine and have not expired."""

import json
import re
import time
from collections.abc import Callable

import pytest
from itsdangerous.encoding import base64_encode

from functions.contract.session import Session, SessionError, Sessions

SECRET = "a secret of this test, long enough"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock that tokens are checked against."""
    now = time.time()

    def move(seconds: float) -> None:
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + seconds)

    return move


def test_issued_session_verifies() -> None:
    """An issued session is read back unchanged, with any name."""
    session = Session(id="abc", name="Zoë “the 🦊” O'Hara")
    assert Sessions(SECRET).verify(Sessions(SECRET).issue(session)) == session


@pytest.mark.parametrize("name", ["", "A", "An", "Ann", "Zoë 🦊"])
def test_token_needs_no_quotes(name: str) -> None:
    """A token is a valid cookie value without quotes, which clients handle differently."""
    assert re.fullmatch(r"[\w.-]+", Sessions(SECRET).issue(Session("a", name)), re.ASCII)


def test_new_sessions_differ() -> None:
    """Two visitors never share an id."""
    assert len({Session.new().id for _ in range(1000)}) == 1000


def test_expired_session_is_refused(later: Callable[[float], None]) -> None:
    """A session expires on time, with a message for its visitor."""
    sessions = Sessions(SECRET, max_age=60)
    token = sessions.issue(Session.new())
    later(59)
    sessions.verify(token)
    later(62)
    with pytest.raises(SessionError, match="expired"):
        sessions.verify(token)


def test_session_is_due_in_its_second_half(later: Callable[[float], None]) -> None:
    """A visitor who keeps visiting gets a new token before the old one expires."""
    sessions = Sessions(SECRET, max_age=60)
    token = sessions.issue(Session.new())
    later(29)
    assert not sessions.is_due(token)
    later(32)
    assert sessions.is_due(token)


@pytest.mark.parametrize("position", [0, 10, -10, -1])
def test_forged_session_is_refused(position: int) -> None:
    """A token that was changed anywhere is refused."""
    token = list(Sessions(SECRET).issue(Session.new()))
    token[position] = "A" if token[position] != "A" else "Q"
    with pytest.raises(SessionError, match="could not be verified"):
        Sessions(SECRET).verify("".join(token))


@pytest.mark.parametrize("token", ["", "a.b.c", "💥", "a" * 10_000, "\0", "..", "null"])
def test_garbage_is_refused(token: str) -> None:
    """Text that is not a token is refused like a forged one."""
    with pytest.raises(SessionError):
        Sessions(SECRET).verify(token)


def test_other_secret_is_refused() -> None:
    """A token signed with another secret is refused."""
    token = Sessions("another secret, also long enough").issue(Session.new())
    with pytest.raises(SessionError):
        Sessions(SECRET).verify(token)


@pytest.mark.parametrize("payload", [None, "text", ["id"], ["id", 1], ["a", "b", "c"], {}])
def test_other_form_is_refused(payload: object) -> None:
    """A genuine token with unknown content, such as an older release's, is refused."""
    sessions = Sessions(SECRET)
    signed = sessions._signer.sign(base64_encode(json.dumps(payload)))
    with pytest.raises(SessionError, match="unknown format"):
        sessions.verify(signed.decode())


def test_short_secret_is_refused() -> None:
    """A secret that could be guessed is refused."""
    with pytest.raises(ValueError, match="32 characters"):
        Sessions("short")
