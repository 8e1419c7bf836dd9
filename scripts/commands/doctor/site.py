"""The site under examination, and what it answers."""

import re
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import (
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractCookieJar
from yarl import URL

from functions.contract.cookie import HOST_COOKIE
from functions.contract.session import COOKIE
from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.diagnosis import turned_away

# Seconds for one answer. Longer than a function's cold start, which takes one or two.
PATIENCE = 7.0

MAX_BODY = 4 * 1024 * 1024  # bytes of an answer; no page or script of the site's is that large


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
            raise ValueError(
                f"The address of a site ends after its host and port: {url.origin()}. A page of it "
                "is named by --page."
            )
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


_COOKIES = (HOST_COOKIE, COOKIE)  # the names that the site's own session may have


class Site:
    """Sends requests to one site and returns its answers: no redirect followed, no cookie kept.

    `page` is the path that stands for all pages, and `session` the cookie that visits come with, as
    its value or as NAME=VALUE; `namespace` is where clients connect to, and `speech` what they say;
    `tls` says which certificates to believe, by default the system's; `patience` is how many
    seconds one answer may take.
    """

    front: Answer  # the answer to a first visit to the page, once somebody has been there

    def __init__(
        self,
        address: Address,
        *,
        page: str = "/",
        session: str = "",
        tls: ssl.SSLContext | bool = True,
        patience: float = PATIENCE,
        namespace: str = "/",
        speech: Speech | None = None,
    ) -> None:
        self.address = address
        self.namespace = namespace
        self.speech = speech
        self.page = page
        self._cookies = self._named(session)
        self.patience = patience
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._http = self.client(DummyCookieJar())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._http.close()

    @property
    def has_session(self) -> bool:
        """Whether visits come with a session that was given, so that none is issued."""
        return bool(self._cookies)

    @property
    def token(self) -> str:
        """The session that was given, or that the first visit was; empty if none."""
        given = [self._cookies[name] for name in _COOKIES if name in self._cookies]
        issued = self.front.session
        return given[0] if given else issued.value if issued else ""

    @property
    def cookie_name(self) -> str:
        """The name under which it was given."""
        given = [name for name in _COOKIES if name in self._cookies]
        issued = self.front.session
        return given[0] if given else issued.key if issued else COOKIE

    def _named(self, session: str) -> dict[str, str]:
        """Return cookies by their names; one without a name has that of the site's own."""
        if not session:
            return {}
        if not re.match(r"[\w!#$%&'*+.^`|~-]+=", session):
            return {HOST_COOKIE if self.address.secure else COOKIE: session}
        pairs = (pair.strip().partition("=") for pair in session.split(";"))
        return {name: value for name, _, value in pairs if name}

    async def visit(
        self,
        target: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Answer:
        """Send a request as `ask` does, with the session that was given, if any."""
        return await self.ask(target, method, {**self._given(), **(headers or {})}, body)

    async def visit_once(self, target: str) -> Answer:
        """Send a request as `ask_once` does, likewise."""
        return await self.ask_once(target, headers=self._given())

    def _given(self) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {"Cookie": cookie} if cookie else {}

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

        Raises TimeoutError or aiohttp's ClientError when there is no answer, and Failure when
        somebody in front of the site has turned it away.
        """
        answer = await self.ask_once(target, method, headers, body, origin=origin)
        if failure := turned_away(answer):
            raise failure
        return answer

    async def ask_once(
        self,
        target: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        *,
        origin: str = "",
    ) -> Answer:
        """Send a request likewise, and return whatever the answer is."""
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
                method,
                target,
                answer.status,
                answer.headers,
                answer.cookies,
                bytes(content),
                url.host or "",
                url.scheme == "https",
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
