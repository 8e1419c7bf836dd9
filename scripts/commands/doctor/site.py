"""The site under examination, and what it answers."""

import html
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookies import Morsel
from typing import Any, Self

from aiohttp import (
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractCookieJar
from multidict import CIMultiDictProxy
from yarl import URL

from functions.contract.cookie import HOST_COOKIE
from functions.contract.session import COOKIE

# Seconds for one answer. Longer than a function's cold start, which takes one or two.
PATIENCE = 7.0

MAX_BODY = 4 * 1024 * 1024  # bytes of an answer; no page or script of the site's is that large
_MARKUP = re.compile(r"<style.*?</style>|<script.*?</script>|<[^>]*>", re.DOTALL)
MAX_WORDS = 200  # characters quoted of an answer


@dataclass(frozen=True)
class Answer:
    """What the site answered to one request."""

    method: str
    target: str
    status: int
    headers: CIMultiDictProxy[str]
    cookies: Mapping[str, Morsel[str]]
    body: bytes

    @property
    def session(self) -> Morsel[str] | None:
        """The session's cookie that it sets, under either name."""
        return self.cookies.get(HOST_COOKIE) or self.cookies.get(COOKIE)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    @property
    def path(self) -> str:
        """The path that was asked for, without the query."""
        return self.target.partition("?")[0]

    @property
    def is_page(self) -> bool:
        """Whether this is HTML."""
        return self.headers.get("Content-Type", "").startswith("text/html")

    @property
    def said(self) -> str:
        """What was asked and answered, with the answer's own words, on one line and without end."""
        words = f': "{self._words}"' if self._words else ""
        return f"{self.method} {self.path} answered {self.status}{words}"

    @property
    def _words(self) -> str:
        text = self.text
        if self.is_page:
            text = html.unescape(_MARKUP.sub(" ", text))
        line = " ".join(text.split())
        return line if len(line) <= MAX_WORDS else line[:MAX_WORDS] + "…"


@dataclass(frozen=True)
class Address:
    """Where a site is: its origin as browsers write it, and its door without TLS if it has one."""

    origin: str
    plain: str | None = None  # None where the address is http itself or has a port of its own

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address in a text; raise ValueError, with a sentence, if there is none."""
        try:
            url = URL(text)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{text!r} is not an address such as https://example.com.")
        if url.path not in ("", "/") or url.raw_query_string or url.raw_fragment or url.raw_user:
            raise ValueError(f"The address of a site ends after its host and port: {url.origin()}.")
        origin = str(url.origin())
        has_plain = url.scheme == "https" and url.is_default_port()
        return cls(origin, origin.replace("https:", "http:", 1) if has_plain else None)

    @property
    def secure(self) -> bool:
        """Whether the address is https."""
        return self.origin.startswith("https:")

    @property
    def host(self) -> str:
        """The host, without a port."""
        return URL(self.origin).host or ""


@dataclass(frozen=True)
class Speech:
    """An event of the site's that all other clients hear, under a name, when one sends it."""

    event: str
    value: Any
    heard: str


class Site:
    """Sends requests to one site and returns its answers: no redirect followed, no cookie kept.

    `tls` says which certificates to believe, by default the system's; `patience` is how many
    seconds one answer may take.
    """

    front: Answer  # the answer to a first visit to /, once somebody has been there

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext | bool = True,
        patience: float = PATIENCE,
        speech: Speech | None = None,
    ) -> None:
        self.address = address
        self.speech = speech
        self.patience = patience
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._http = self.client(DummyCookieJar())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._http.close()

    @property
    def token(self) -> str:
        """The session that the first visit was given; empty if none."""
        cookie = self.front.session
        return cookie.value if cookie else ""

    @property
    def cookie_name(self) -> str:
        """The name under which it was given."""
        cookie = self.front.session
        return cookie.key if cookie else COOKIE

    async def ask(
        self,
        target: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        *,
        origin: str = "",
    ) -> Answer:
        """Send a request, its target byte for byte as written, to the site or another origin.

        Raises TimeoutError or aiohttp's ClientError when there is no answer.
        """
        url = URL((origin or self.address.origin) + target, encoded=True)
        async with self._http.request(
            method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            content = bytearray()
            async for chunk in answer.content.iter_any():
                content += chunk
                if len(content) > MAX_BODY:
                    break
            return Answer(
                method, target, answer.status, answer.headers, answer.cookies, bytes(content)
            )

    @asynccontextmanager
    async def websocket(
        self, target: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[ClientWebSocketResponse]:
        """Open a websocket; raise aiohttp's WSServerHandshakeError where that is refused."""
        url = URL(self.address.origin + target, encoded=True)
        async with self._http.ws_connect(url, headers=headers) as websocket:
            yield websocket

    def client(self, cookies: AbstractCookieJar) -> ClientSession:
        """Return connections for a client with cookies of its own; the caller closes them."""
        return ClientSession(
            connector=TCPConnector(ssl=self._tls),
            cookie_jar=cookies,
            timeout=ClientTimeout(total=self.patience),
            auto_decompress=False,  # whether an answer is compressed is one of the questions
            skip_auto_headers=["Accept-Encoding"],
            headers={"User-Agent": "sidepath-doctor"},
        )


def nowhere() -> str:
    """Return a path that leads to no page."""
    return f"/doctor-{secrets.token_hex(6)}"
