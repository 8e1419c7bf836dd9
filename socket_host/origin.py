"""The origin check: which sites' pages may connect.

The public origin is a setting, because a request does not reveal it: behind a load balancer its
scheme is http, and X-Forwarded-Host is whatever the client sends.
"""

import logging
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_log = logging.getLogger(__name__)

_MAX_LOGGED = 100  # different origins whose refusal is logged: clients may send any number

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Schemes that some non-browser clients send instead of the page's.
_PAGES = {"ws": "http", "wss": "https"}

_LONGEST = 300  # characters: a host name has at most 253


class Origins:
    """The origins whose pages may connect; None allows every origin."""

    def __init__(self, allowed: Sequence[str] | None) -> None:
        self.allowed = None if allowed is None else frozenset(allowed)
        self._logged: set[str] = set()

    def allow(self, origin: str | None) -> bool:
        """Whether a request with this Origin is allowed; logs each refused origin once.

        A request without one does not come from another site's page: browsers always send it for
        websockets and for requests to another origin.
        """
        if self.allowed is None or origin is None or origin in self.allowed:
            return True
        if _as_browsers_do(origin) in self.allowed:
            return True
        self._log_once(origin[:200])
        return False

    def _log_once(self, origin: str) -> None:
        if origin in self._logged or len(self._logged) >= _MAX_LOGGED:
            return
        self._logged.add(origin)
        expected = ", ".join(sorted(self.allowed or ()))
        _log.warning(
            "Refused a connection from the origin %r: PUBLIC_ORIGIN is %s.", origin, expected
        )


def parse_origins(text: str) -> tuple[str, ...]:
    """Return the comma-separated origins in the form browsers send them.

    Raises ValueError, whose text follows the setting's name, if there is none or one is malformed.
    """
    origins = tuple(_parse_origin(part.strip()) for part in text.split(",") if part.strip())
    if not origins:
        raise ValueError(f"must be the site's address, {_EXAMPLE}")
    return origins


_HOST = re.compile(r"[a-z0-9_:-][a-z0-9_.:-]*", re.IGNORECASE | re.ASCII)  # a name or an address

_EXAMPLE = "as in https://example.com (several are separated by commas)"


def _as_browsers_do(origin: str) -> str | None:
    """Return an Origin header as a browser would send it; None if none would."""
    if len(origin) > _LONGEST or not origin.isascii():
        return None
    try:
        return _parse_origin(origin)
    except ValueError:
        return None


def _parse_origin(text: str) -> str:
    complaint = ValueError(f"must be the site's address, {_EXAMPLE}, not {text!r}")
    try:
        url = urlsplit(text)
        host, port = _ascii(url.hostname or ""), url.port
    except ValueError:
        raise complaint from None
    if not url.scheme or not _HOST.fullmatch(host) or "@" in url.netloc:
        raise complaint
    if url.path not in ("", "/") or url.query or url.fragment:
        raise complaint
    scheme = _PAGES.get(url.scheme, url.scheme)
    host = f"[{host}]" if ":" in host else host
    suffix = "" if port in (None, _DEFAULT_PORTS.get(scheme)) else f":{port}"
    return f"{scheme}://{host}{suffix}"


def _ascii(host: str) -> str:
    """Return a host name as browsers send it; raises ValueError."""
    if host.isascii():
        return host
    import idna

    return idna.encode(host, uts46=True).decode()
