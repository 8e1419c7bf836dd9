"""The session: pages issue it in a signed cookie, the socket host trusts it and nothing else."""

import base64
import json
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from itsdangerous import BadSignature, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import SigningAlgorithm

COOKIE = "sidepath_session"

# Lets a clone start with no setting at all. Both doors refuse it outside development.
SAMPLE_SECRET = "sample-secret-for-development-only"

MIN_SECRET_LENGTH = 32  # characters: 128 bits written in hex

MAX_AGE = 7 * 24 * 60 * 60  # seconds; a page visited in its second half renews the cookie

_PURPOSE = b"session.v1"  # so that nothing else signed with the same secret is a session

# Tokens whose signature need not be checked again: those of another tab, or after a drop.
_REMEMBERED = 10_000

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
    """The token is not a session; the text is meant for the person who holds it."""


@dataclass(frozen=True)
class Session:
    """Who a visitor is: a random id, kept for as long as they keep coming, and a name to show."""

    id: str
    name: str

    @classmethod
    def new(cls) -> "Session":
        """Return a session for a first visit, with a friendly random name."""
        chance = secrets.token_bytes(14)  # one draw: each is a system call
        adjective = _ADJECTIVES[chance[0] % len(_ADJECTIVES)]
        animal = _ANIMALS[chance[1] % len(_ANIMALS)]
        return cls(base64.urlsafe_b64encode(chance[2:]).decode(), f"{adjective} {animal}")


class Sessions:
    """Issues and verifies signed session tokens.

    Raises ValueError for a secret too short to resist guessing.
    """

    def __init__(self, secret: str, *, max_age: int = MAX_AGE) -> None:
        if len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(f"the session secret needs {MIN_SECRET_LENGTH} characters or more")
        self.max_age = max_age
        key = blake2b(secret.encode(), person=_PURPOSE, digest_size=32).digest()
        self._signer = TimestampSigner(key, key_derivation="none", algorithm=_KeyedBlake2())
        # Remembers only what verified: forged tokens cannot crowd out others. Checking a signature
        # is most of what a socket's handshake with a session costs more than one without.
        self._signed = lru_cache(_REMEMBERED)(self._verify_signature)

    def issue(self, session: Session) -> str:
        """Return a token, safe in a cookie, that `verify` accepts for `max_age` seconds."""
        payload = json.dumps([session.id, session.name])
        return self._signer.sign(base64_encode(payload)).decode()

    def verify(self, token: str) -> Session:
        """Return the session a token was issued for; raise SessionError for any other text."""
        return self._load(token, self.max_age)

    def is_due(self, token: str) -> bool:
        """Whether a token that verifies has lived half its life and should be issued anew."""
        try:
            self._load(token, self.max_age // 2)
        except SessionError:
            return True
        return False

    def _load(self, token: str, max_age: int) -> Session:
        if not token.isascii():  # ours are, and some of what is not cannot be encoded
            raise SessionError(
                "Your session could not be verified. Reload the page to get a new one."
            )
        session, issued = self._signed(token)
        if not 0 <= int(time.time()) - issued <= max_age:
            raise SessionError("Your session has expired. Reload the page to go on.")
        return session

    def _verify_signature(self, token: str) -> tuple[Session, float]:
        """Return what was signed, however long ago, and when, in seconds since 1970."""
        try:
            signed, issued = self._signer.unsign(token, return_timestamp=True)
        except BadSignature:
            raise SessionError(
                "Your session could not be verified. Reload the page to get a new one."
            ) from None
        match json.loads(base64_decode(signed)):
            case [str(id_), str(name)]:
                return Session(id_, name), issued.timestamp()
        raise SessionError("Your session is of an unknown form. Reload the page to get a new one.")


class _KeyedBlake2(SigningAlgorithm):
    """BLAKE2b with a key (RFC 7693): with HMAC a tenth of a first visit's page was its cookie."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return blake2b(value, key=key, digest_size=24).digest()
