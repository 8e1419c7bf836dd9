"""The session: pages issue it in a signed cookie, and the socket host trusts nothing else."""

import base64
import hmac
import json
import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from sys import getsizeof
from typing import Any

from itsdangerous import TimestampSigner
from itsdangerous.encoding import base64_encode, int_to_bytes
from itsdangerous.signer import SigningAlgorithm

from functions.contract.cache import Cache

COOKIE = "sidepath_session"  # cookie.py has the names on the wire

# Lets a fresh clone start without settings. Both halves refuse it outside development.
SAMPLE_SECRET = "sample-secret-for-development-only"

MIN_SECRET_LENGTH = 32  # characters: 128 bits written in hex

MAX_AGE = 7 * 24 * 60 * 60  # seconds; a page visited in its second half renews the cookie

LEEWAY = 5  # seconds by which the issuer's clock may be ahead of the reader's

MAX_TOKEN = 1_024  # characters; checked before anything else

_PURPOSE = b"session.v1"  # so that nothing else signed with the secret passes as a session

# Payload, time and signature in base64 without padding. A signature's 24 bytes make exactly 32
# characters, and the largest time that itsdangerous writes makes eleven.
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{1,11})\.[A-Za-z0-9_-]{32}")

# Bytes of verified tokens that are kept, for other tabs and for clients that come back.
_REMEMBERED = 8 * 1024 * 1024
_ENTRY = 400  # bytes of an entry besides its three strings

_ADJECTIVES = (
    "Amber", "Brave", "Calm", "Clever", "Coral", "Eager", "Gentle", "Golden",
    "Happy", "Jolly", "Kind", "Lively", "Lucky", "Mellow", "Mighty", "Misty",
    "Noble", "Olive", "Patient", "Polite", "Proud", "Quick", "Quiet", "Rosy",
    "Silver", "Sunny", "Swift", "Tidy", "Velvet", "Warm", "Wise", "Witty",
)  # fmt: skip
_ANIMALS = (
    "Badger", "Bear", "Beaver", "Crane", "Deer", "Dolphin", "Falcon", "Ferret",
    "Finch", "Fox", "Gecko", "Hare", "Heron", "Ibex", "Koala", "Lark",
    "Lynx", "Marten", "Mole", "Moose", "Newt", "Otter", "Owl", "Panda",
    "Puffin", "Raven", "Robin", "Seal", "Stork", "Swan", "Tiger", "Wren",
)  # fmt: skip


class SessionError(Exception):
    """The token is not a valid session; the text is meant for the visitor."""


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor's identity: an id, a name to show, and claims from a sign-in.

    A new visitor has a random id, which they keep as long as they keep visiting, and no claims.
    `claims` is JSON: `{"role": "editor"}`, `{"roles": ["editor", "admin"], "verified": True}`.
    `expires` is when the token it was read from expires, in seconds since 1970. Two tokens with the
    same id, name and claims are the same session.
    """

    id: str
    name: str
    expires: float = field(default=math.inf, compare=False)
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def new(cls) -> "Session":
        """Return a session for a first visit, with a friendly random name."""
        chance = secrets.token_bytes(14)  # all at once: each call is a system call
        adjective = _ADJECTIVES[chance[0] % len(_ADJECTIVES)]
        animal = _ANIMALS[chance[1] % len(_ANIMALS)]
        return cls(base64.urlsafe_b64encode(chance[2:]).decode(), f"{adjective} {animal}")

    @property
    def signed_in_at(self) -> float:
        """When the visitor signed in, in seconds since 1970; 0 if they have not."""
        at = self.claims.get("auth_time")
        return float(at) if isinstance(at, int | float) else 0.0

    def has(self, claim: str) -> bool:
        """Whether the visitor has a claim.

        `verified` requires a claim that is not false, zero or empty; `role=editor` one that is this
        string, or a list that contains it.
        """
        name, equals, text = claim.partition("=")
        value = self.claims.get(name)
        if not equals:
            return bool(value)
        return value == text or (isinstance(value, list | tuple) and text in value)


class Sessions:
    """Issues and verifies signed session tokens.

    The first secret signs; tokens signed with any of the secrets are valid. Raises ValueError for a
    secret that is too short to resist guessing.
    """

    def __init__(self, secret: str, *former: str, max_age: int = MAX_AGE) -> None:
        self.max_age = max_age
        self._signer, *self._former = (_signer(each) for each in (secret, *former))
        # Only valid tokens are cached, so forged ones cannot evict others. Claims are cached as
        # text, so that a page that changes them changes only its own copy.
        self._verified: Cache[str, tuple[Session, str]] = Cache(_REMEMBERED)

    def issue(self, session: Session) -> str:
        """Return a token, safe in a cookie, that `verify` accepts for `max_age` seconds.

        Raises ValueError for a session that is too large for a token, or is not JSON.
        """
        try:
            token = self._signer.sign(_payload(session)).decode()
        except (TypeError, RecursionError) as error:
            raise ValueError(f"a session's claims must be JSON: {error}") from None
        if len(token) > MAX_TOKEN:
            raise ValueError(
                f"a session's token may have at most {MAX_TOKEN:,} characters, and this one has "
                f"{len(token):,}: shorten its name or claims"
            )
        return token

    def verify(self, token: str) -> Session:
        """Return the session that a token was issued for; raise SessionError for any other text.

        Only the exact text that `issue` wrote is valid.
        """
        return self._load(token, 0)

    def is_due(self, token: str) -> bool:
        """Whether a valid token is past half its life and should be renewed."""
        try:
            self._load(token, self.max_age - self.max_age // 2)
        except SessionError:
            return True
        return False

    def _load(self, token: str, left: int) -> Session:
        """Return the session of a token that has `left` seconds left."""
        found = None
        if len(token) <= MAX_TOKEN:
            found = self._verified.get(token) or self._verify_signature(token)
        if found is None:
            raise SessionError(
                "Your session could not be verified. Reload the page to get a new one."
            )
        session, claims = found
        if not left <= session.expires - time.time() <= self.max_age + LEEWAY:
            raise SessionError("Your session has expired. Reload the page to go on.")
        return replace(session, claims=json.loads(claims)) if claims else session

    def _verify_signature(self, token: str) -> tuple[Session, str] | None:
        """Return the session in a token, however old, and its claims as JSON.

        Returns None if none of our secrets has signed it.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None or not self._is_signed(token):
            return None
        session = self._read(*parts.groups())
        claims = json.dumps(session.claims) if session.claims else ""
        found = replace(session, claims={}), claims
        texts = token, session.id, session.name, claims
        self._verified.put(token, found, _ENTRY + sum(map(getsizeof, texts)))
        return found

    def _is_signed(self, token: str) -> bool:
        # Compare the text: several texts decode to the same signature.
        value, _, signature = token.rpartition(".")
        return any(
            hmac.compare_digest(signer.get_signature(value), signature.encode())
            for signer in (self._signer, *self._former)
        )

    def _read(self, payload: str, timestamp: str) -> Session:
        """Return the session in a signed token's parts, if they are as `issue` writes them."""
        try:
            issued = int.from_bytes(_decode(timestamp))
            match json.loads(_decode(payload)):
                case [str(id_), str(name)]:
                    session = Session(id_, name, issued + self.max_age)
                case [2, str(id_), str(name), dict(claims)]:
                    session = Session(id_, name, issued + self.max_age, claims)
                case _:
                    raise ValueError
            written = _payload(session), base64_encode(int_to_bytes(issued))
            if written == (payload.encode(), timestamp.encode()):
                return session
        except (ValueError, RecursionError):
            pass
        raise SessionError("Your session has an unknown format. Reload the page to get a new one.")


def _payload(session: Session) -> bytes:
    """Return a token's payload: version 2 if there are claims, else version 1, which is shorter."""
    if not session.claims:
        return base64_encode(json.dumps([session.id, session.name]))
    versioned = [2, session.id, session.name, session.claims]
    return base64_encode(json.dumps(versioned, separators=(",", ":"), allow_nan=False))


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _signer(secret: str) -> TimestampSigner:
    if len(secret) < MIN_SECRET_LENGTH:
        raise ValueError(f"the session secret must have at least {MIN_SECRET_LENGTH} characters")
    key = blake2b(secret.encode(), person=_PURPOSE, digest_size=32).digest()
    return TimestampSigner(key, key_derivation="none", algorithm=_KeyedBlake2())


class _KeyedBlake2(SigningAlgorithm):
    """Keyed BLAKE2b (RFC 7693), which is faster than HMAC."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return blake2b(value, key=key, digest_size=24).digest()


def parse_secrets(text: str, *, development: bool) -> tuple[str, ...]:
    """Return the secrets in a setting, at least one, separated by commas or white space.

    Raises ValueError, whose text follows the setting's name, if one of them is not acceptable.
    """
    found = tuple(re.split(r"[,\s]+", text.strip(", \t\r\n")))
    if any(len(secret) < MIN_SECRET_LENGTH for secret in found):
        raise ValueError(
            f"must have {MIN_SECRET_LENGTH} characters or more; if there are several, separated by "
            "commas, each must"
        )
    if SAMPLE_SECRET in found and not development:
        raise ValueError("is the sample secret, which is accepted only with STAGE=development")
    return found
