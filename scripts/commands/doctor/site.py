"""The site under examination, and its responses."""

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
from scripts.commands.doctor.answer import MAX_BODY, Answer
from scripts.commands.doctor.diagnosis import turned_away

# Seconds for one response: longer than a function's cold start.
PATIENCE = 7.0


@dataclass(frozen=True)
class Address:
    """A site's address: its origin as browsers write it, and its plain http origin, if any."""

    origin: str
    plain: str | None = None  # None if the address itself is http or has an explicit port

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address in a text; raise ValueError, with an explanation, if there is none."""
        try:
            url = URL(text)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{text!r} is not an address such as https://example.com.")
        if url.path not in ("", "/") or url.raw_query_string or url.raw_fragment or url.raw_user:
            raise ValueError(
                f"The address of a site ends after its host and port: {url.origin()}. Use --page "
                "for a page."
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
class Broadcast:
    """An event of the site, and the event that all other clients get when one sends it."""

    name: str
    value: Any
    received: str


_COOKIES = (HOST_COOKIE, COOKIE)  # the names of the site's own session cookie


class Site:
    """Sends requests to one site and returns its responses; follows no redirect, keeps no cookie.

    `page` is the path that represents all pages, and `session` the cookie of visits, as its value
    or as NAME=VALUE; `namespace` is the one that clients connect to, and `broadcast` an event that
    they send; `tls` says which certificates to trust, by default the system's; `patience` is the
    timeout of one response in seconds.
    """

    front: Answer  # the response to the first visit to the page, set by `reach`

    def __init__(
        self,
        address: Address,
        *,
        page: str = "/",
        session: str = "",
        tls: ssl.SSLContext | bool = True,
        patience: float = PATIENCE,
        namespace: str = "/",
        broadcast: Broadcast | None = None,
    ) -> None:
        self.address = address
        self.namespace = namespace
        self.broadcast = broadcast
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
        """Whether visits have a given session, so that the site issues none."""
        return bool(self._cookies)

    @property
    def token(self) -> str:
        """The given session, or the one that the first visit was issued; empty if none."""
        given = [self._cookies[name] for name in _COOKIES if name in self._cookies]
        issued = self.front.session
        return given[0] if given else issued.value if issued else ""

    @property
    def cookie_name(self) -> str:
        """The name of the session's cookie."""
        given = [name for name in _COOKIES if name in self._cookies]
        issued = self.front.session
        return given[0] if given else issued.key if issued else COOKIE

    def _named(self, session: str) -> dict[str, str]:
        """Return cookies by name; a value without a name gets the name of the site's own cookie."""
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
        """Send a request as `ask` does, with the given session, if any."""
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
        """Send a request to the site or another origin, with the target exactly as written.

        Raises TimeoutError or aiohttp's ClientError if there is no response, and Failure if
        something in front of the site has refused the request.
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
        """Send a request in the same way, and return any response."""
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
        """Open a websocket; raise aiohttp's WSServerHandshakeError if it is refused."""
        url = URL(self.address.origin + target, encoded=True)
        async with self._http.ws_connect(url, headers=headers) as websocket:
            yield websocket

    def client(self, cookies: AbstractCookieJar) -> ClientSession:
        """Return a client session with its own cookies; the caller closes it."""
        return ClientSession(
            connector=TCPConnector(ssl=self._tls),
            cookie_jar=cookies,
            timeout=ClientTimeout(total=self.patience),
            auto_decompress=False,  # because checks look at the compression
            skip_auto_headers=["Accept-Encoding"],
            headers={"User-Agent": "sidepath-doctor"},
        )


def nowhere() -> str:
    """Return a path without a page."""
    return f"/doctor-{secrets.token_hex(6)}"
