"""Content-Security-Policy as browsers apply it: all policies of a page must allow a source."""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from yarl import URL

from scripts.commands.doctor.answer import Answer

_META = re.compile(
    r"<meta\s[^>]*http-equiv\s*=\s*[\"']?content-security-policy[\"'\s>][^>]*>", re.I
)
_CONTENT = re.compile(r"\scontent\s*=\s*(\"[^\"]*\"|'[^']*')", re.I)

# The fallbacks of directives that a policy does not have.
_FALLBACK = {
    "connect-src": ("default-src",),
    "script-src": ("default-src",),
    "script-src-elem": ("script-src", "default-src"),
}

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# A source with the first scheme also allows the second, safer one. As in Chromium: by the standard,
# a source that allows websockets would allow polling, too.
_SAFER = {"http": "https", "ws": "wss"}


@dataclass(frozen=True)
class Policy:
    """One policy: the sources of each directive, by name."""

    directives: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the policy in a text; of two directives with the same name, the first counts."""
        directives: dict[str, tuple[str, ...]] = {}
        for directive in text.split(";"):
            name, *words = directive.split() or [""]
            if name:
                directives.setdefault(name.lower(), tuple(words))
        return cls(directives)

    @classmethod
    def all_of(cls, answer: Answer) -> list[Self]:
        """Return a response's policies: a header may contain several, and the page one too."""
        headers = answer.headers.getall("Content-Security-Policy", [])
        texts = [text for header in headers for text in header.split(",")]
        texts += _in_page(answer.text) if answer.is_page else []
        return [cls.parse(text) for text in texts if text.strip()]

    def sources(self, name: str) -> tuple[str, ...] | None:
        """Return the sources that a directive allows; None means all."""
        for each in (name, *_FALLBACK.get(name, ())):
            if each in self.directives:
                return self.directives[each]
        return None

    def allows(self, name: str, url: URL, page: URL) -> bool:
        """Whether a page may load from, or connect to, an address."""
        sources = self.sources(name)
        return sources is None or any(_matches(source, url, page) for source in sources)

    def trusts(self, name: str, words: Iterable[str]) -> bool:
        """Whether a directive contains a source that begins with one of the words."""
        return any(source.startswith(tuple(words)) for source in self.sources(name) or ())


def _in_page(text: str) -> Iterator[str]:
    for tag in _META.findall(text):
        if content := _CONTENT.search(tag):
            yield html.unescape(content[1][1:-1])


def _matches(source: str, url: URL, page: URL) -> bool:
    """Whether one source of a directive covers an address."""
    source = source.lower()
    if source == "'self'":
        return url.host == page.host and _same_port(url, page) and _as_safe(page, url)
    if source == "*":
        return url.scheme in _PORTS
    if re.fullmatch(r"[a-z][a-z0-9+.-]*:", source):
        return _covers(source[:-1], url.scheme)
    found = re.fullmatch(
        r"(?:([a-z][a-z0-9+.-]*)://)?(\*|[^:/'\s]+|\[[^\]]*\])(:\d+|:\*)?(/.*)?", source
    )
    if not found:
        return False  # a hash, a nonce, or not a source
    scheme, host, port, path = found.groups()
    return (
        _covers(scheme or page.scheme, url.scheme)
        and _is_host(host, url.host or "")
        and _is_port(port, scheme or page.scheme, url)
        and _is_path(path or "", url.path)
    )


def _covers(scheme: str, asked: str) -> bool:
    return asked in (scheme, _SAFER.get(scheme))


def _as_safe(page: URL, url: URL) -> bool:
    """Whether an address is as secure as the page's: ws counts as http, wss as https."""
    return url.scheme == page.scheme or url.scheme in ("https", "wss") or page.scheme == "http"


def _same_port(url: URL, page: URL) -> bool:
    standard = url.port == _PORTS.get(url.scheme) and page.port == _PORTS.get(page.scheme)
    return url.port == page.port or standard


def _is_host(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return pattern in ("*", host, f"[{host}]")


def _is_port(port: str | None, scheme: str, url: URL) -> bool:
    if port == ":*":
        return True
    standard = url.port == _PORTS.get(url.scheme)
    return (port is None and standard) or port == f":{url.port}" or (port == ":80" and standard)


def _is_path(pattern: str, path: str) -> bool:
    if pattern in ("", "/"):
        return True
    return path.startswith(pattern) if pattern.endswith("/") else path == pattern
