"""A session has claims; tokens of the old form stay valid, and are still issued without claims."""

import json
import time
from typing import Any

import pytest
from itsdangerous.encoding import base64_decode, base64_encode

from functions.contract.session import MAX_AGE, Session, SessionError, Sessions

SECRET = "a secret of this test, long enough"

CLAIMS = {"roles": ["editor", "ädmin"], "plan": "gold", "age": 7, "verified": True, "none": None}
ANN = Session("ann", "Ann", claims=CLAIMS)


def payload(token: str) -> Any:
    return json.loads(base64_decode(token.partition(".")[0]))


def signed(sessions: Sessions, content: object) -> str:
    """A signed token with a payload that `issue` may never write."""
    text = json.dumps(content, separators=(",", ":"))
    return sessions._signer.sign(base64_encode(text)).decode()


def test_claims_are_in_the_token() -> None:
    """A session's claims are read from its token unchanged."""
    found = Sessions(SECRET).verify(Sessions(SECRET).issue(ANN))
    assert found == ANN
    assert found.claims == CLAIMS
    assert found != Session("ann", "Ann")


def test_payload_is_versioned() -> None:
    """The payload has a version if there are claims, and else the form that old hosts can read."""
    assert payload(Sessions(SECRET).issue(ANN)) == [2, "ann", "Ann", CLAIMS]
    assert payload(Sessions(SECRET).issue(Session("ann", "Ann"))) == ["ann", "Ann"]


def test_old_token_is_valid_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token signed by the previous release is a session without claims until it expires."""
    sessions, now = Sessions(SECRET), time.time()
    monkeypatch.setattr(time, "time", lambda: now - MAX_AGE + 60)
    old = sessions._signer.sign(base64_encode(json.dumps(["ann", "Ann"]))).decode()
    monkeypatch.setattr(time, "time", lambda: now)
    assert sessions.verify(old) == Session("ann", "Ann")
    assert not sessions.verify(old).claims
    monkeypatch.setattr(time, "time", lambda: now + 61)
    with pytest.raises(SessionError, match="expired"):
        sessions.verify(old)


@pytest.mark.parametrize(
    "content",
    [
        [2, "ann", "Ann", {}],  # would be written without a version
        [2, "ann", "Ann"],
        [2, "ann", "Ann", None],
        [2, "ann", "Ann", ["role"]],
        [2, "ann", "Ann", {"a": 1}, 1],
        [2, 1, "Ann", {"a": 1}],
        [1, "ann", "Ann", {"a": 1}],
        [3, "ann", "Ann", {"a": 1}],
        [True, "ann", "Ann", {"a": 1}],
        [2.0, "ann", "Ann", {"a": 1}],
        {"version": 2},
    ],
    ids=str,
)
def test_other_forms_are_refused(content: object) -> None:
    """A token with an unknown version or form is refused."""
    sessions = Sessions(SECRET)
    with pytest.raises(SessionError, match="unknown format"):
        sessions.verify(signed(sessions, content))


@pytest.mark.parametrize("text", ['[2,"ann","Ann",{"a":NaN}]', '[2,"ann","Ann",{"a":1,"a":2}]'])
def test_claims_that_are_not_json_are_refused(text: str) -> None:
    """A token with a number that JSON lacks, or with a duplicate claim, is refused."""
    sessions = Sessions(SECRET)
    with pytest.raises(SessionError):
        sessions.verify(sessions._signer.sign(base64_encode(text)).decode())


def test_claims_are_not_shared() -> None:
    """A page that changes a session's claims does not change those of other requests."""
    sessions = Sessions(SECRET)
    token = sessions.issue(ANN)
    for _ in range(2):
        claims: Any = sessions.verify(token).claims
        assert claims == CLAIMS
        claims["roles"].append("owner")
        claims["owner"] = True


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"a": object()}, "JSON"),
        ({"a": b"x"}, "JSON"),
        ({"a": float("nan")}, "JSON"),
        ({"a": {1, 2}}, "JSON"),
        ({"a": "x" * 1_000}, "1,024 characters"),
    ],
)
def test_claims_that_cannot_be_issued(claims: dict[str, Any], words: str) -> None:
    """Claims that a token cannot hold are an error when it is issued."""
    with pytest.raises(ValueError, match=words):
        Sessions(SECRET).issue(Session("ann", "Ann", claims=claims))


@pytest.mark.parametrize(
    ("claim", "has"),
    [
        ("plan", True),
        ("plan=gold", True),
        ("plan=silver", False),
        ("plan=", False),
        ("roles", True),
        ("roles=editor", True),
        ("roles=edit", False),
        ("age", True),
        ("verified", True),
        ("none", False),
        ("zero", False),
        ("empty", False),
        ("empty=", True),
        ("other", False),
        ("other=x", False),
        ("", False),
    ],
)
def test_has(claim: str, has: bool) -> None:
    """`has` takes a claim's name, optionally with the string that it must be or contain."""
    session = Session("ann", "Ann", claims=CLAIMS | {"zero": 0, "empty": ""})
    assert session.has(claim) is has
    assert not Session("bob", "Bob").has(claim)


def test_remembered_claims_count() -> None:
    """The cache of tokens is bounded, including their claims."""
    sessions = Sessions(SECRET)
    for number in range(100):
        claims = {"deep": [[] for _ in range(180)], "n": number}
        sessions.verify(sessions.issue(Session("ann", "Ann", claims=claims)))
    assert sessions._verified.size > 100 * 1_000
