"""A site's response to a request."""

import html
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import Morsel

from multidict import CIMultiDictProxy
from yarl import URL

from functions.contract.cookie import HOST_COOKIE
from functions.contract.session import COOKIE

REDIRECTS = (301, 302, 303, 307, 308)

MAX_WORDS = 200  # characters quoted from a response
MAX_BODY = 4 * 1024 * 1024  # bytes of a response; no page or script of the site is that large

_MARKUP = re.compile(r"<style.*?</style>|<script.*?</script>|<[^>]*>", re.DOTALL)

# Words in the addresses of logins: of frameworks, of providers, of proxies with a login.
_LOGIN = re.compile(
    r"(?<![a-z])(log[-_]?[io]n|sign[-_]?in|authn?|authorize|authenticate|oauth2?|oidc|sso|saml2?|cas|idp"
    r"|accounts?)(?![a-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Answer:
    """The site's response to one request."""

    method: str
    target: str
    status: int
    headers: CIMultiDictProxy[str]
    cookies: Mapping[str, Morsel[str]]
    body: bytes
    host: str = ""  # of the request
    secure: bool = False  # whether over https

    @property
    def session(self) -> Morsel[str] | None:
        """The session cookie that it sets, under either name."""
        return self.cookies.get(HOST_COOKIE) or self.cookies.get(COOKIE)

    @property
    def text(self) -> str:
        """The body as text; empty if it is compressed in a way that cannot be read here."""
        return _plain(self.body, self.headers.get("Content-Encoding", "")).decode(errors="replace")

    @property
    def path(self) -> str:
        """The requested path, without the query."""
        return self.target.partition("?")[0]

    @property
    def location(self) -> str:
        """The `Location` as written; empty if there is none."""
        return self.headers.get("Location", "") if self.status in REDIRECTS else ""

    @property
    def destination(self) -> URL:
        """The `Location` as a URL; empty if there is none, or if it is malformed."""
        try:
            return URL(self.location)
        except ValueError:
            return URL()

    @property
    def asks_for_login(self) -> bool:
        """Whether it leads to a login instead of the requested page."""
        where = self.location.partition("?")[0]
        return self.status == 401 or bool(_LOGIN.search(where))

    @property
    def is_firewall(self) -> bool:
        """Whether AWS WAF, or CloudFront on its behalf, refused the request."""
        if self.status not in (202, 403, 405):
            return False
        return "x-amzn-waf-action" in self.headers or "Request blocked" in self.text

    @property
    def is_page(self) -> bool:
        """Whether this is HTML."""
        return self.headers.get("Content-Type", "").lower().startswith("text/html")

    @property
    def said(self) -> str:
        """Request and response, quoting the body, on one line, without a full stop."""
        words = f': "{self._words}"' if self._words else ""
        return f"{self.method} {self.path} answered {self.status}{words}"

    @property
    def _words(self) -> str:
        text = self.text
        if self.is_page:
            text = html.unescape(_MARKUP.sub(" ", text))
        line = " ".join(text.split())
        return line if len(line) <= MAX_WORDS else line[:MAX_WORDS] + "…"


def _plain(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before its compression."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip" | "deflate":
            try:  # either header will do
                return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, MAX_BODY)
            except zlib.error:
                return b""
    return b""
