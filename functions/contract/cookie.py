"""The session's cookie on the wire: both halves read it here, and nowhere else.

In production its name begins with `__Host-`. Browsers accept such a cookie only over https, for
every path, and from this host itself. Without the prefix, a sibling (another host of the same
domain) could plant one. Development uses the plain name, because Safari drops Secure cookies from
http://localhost. The plain name is read everywhere: sessions that have it stay valid until
they expire, and the next page renews them under the other name.
"""

from typing import NamedTuple

from functions.contract.session import COOKIE, Session, SessionError, Sessions

HOST_COOKIE = f"__Host-{COOKIE}"

# The most cookies tried per request: a sibling can plant many, and each costs a verification.
_MOST = 5


class Cookie(NamedTuple):
    """A cookie with a valid session."""

    name: str
    token: str
    session: Session


def read_cookie(header: str, sessions: Sessions) -> Cookie:
    """Return the session cookie in a request's Cookie header.

    If there are several, it is the first valid one; cookies with the prefix come first, otherwise
    the order is the browser's. Raises SessionError, with what is wrong with the first of them, if
    none of the first few is valid.
    """
    problem = ""
    for name, token in _candidates(header)[:_MOST]:
        try:
            return Cookie(name, token, sessions.verify(token))
        except SessionError as error:
            problem = problem or str(error)
    raise SessionError(problem or "You have no session yet. Reload the page to get one.")


def _candidates(header: str) -> list[tuple[str, str]]:
    """Return the names and values in a Cookie header that may be sessions, best first."""
    at = header.find(COOKIE)
    if at < 0:
        return []
    if "," not in header and header.find(COOKIE, at + 1) < 0:  # as browsers send it
        start, end = header.rfind(";", 0, at) + 1, header.find(";", at)
        name, value = _pair(header[start:] if end < 0 else header[start:end])
        return [(name, value)] if name in (HOST_COOKIE, COOKIE) else []
    ranks: tuple[list[tuple[str, str]], ...] = ([], [], [])
    for piece in header.split(";"):
        # Some proxies join a request's headers with commas. But a sibling may have planted a cookie
        # with a comma in its value, so whatever follows a comma comes last.
        for index, part in enumerate(piece.split(",")) if COOKIE in piece else ():
            name, value = _pair(part)
            if name in (HOST_COOKIE, COOKIE):
                ranks[2 if index else name == COOKIE].append((name, value))
    return [pair for rank in ranks for pair in rank]


def _pair(text: str) -> tuple[str, str]:
    # Strip nothing else: browsers treat a prefix after other white space as part of a plain name.
    name, _, value = text.partition("=")
    value = value.strip(" \t")
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return name.strip(" \t"), value[1:-1] if quoted else value


def write_cookie(token: str, max_age: int, *, secure: bool) -> str:
    """Return the Set-Cookie header for a token that is valid for `max_age` seconds."""
    name, secured = (HOST_COOKIE, "; Secure") if secure else (COOKIE, "")
    return f"{name}={token}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secured}"
