"""A visitor of your pages, who calls the function as Lambda does, and keeps its cookie."""

import asyncio
import base64
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.kit.lambda_events import Event, http_api


@dataclass(frozen=True)
class Answer:
    """A page's response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()

    def json(self) -> Any:
        """The parsed JSON of the response."""
        return json.loads(self.text)


class Visitor:
    """Requests pages with a session cookie, without following redirects."""

    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        """Request a page; the path may have a query, and `_` in a header's name means `-`."""
        return self._answer("GET", path, b"", headers)

    def post(self, path: str, fields: Mapping[str, str | list[str]], **headers: str) -> Answer:
        """Send a form, as a page of the site does; a field may have several values."""
        headers = {"content_type": "application/x-www-form-urlencoded"} | headers
        return self.request("POST", path, urlencode(fields, doseq=True).encode(), **headers)

    def post_json(self, path: str, data: Any, **headers: str) -> Answer:
        """Send JSON, as a script of the site does."""
        headers = {"content_type": "application/json"} | headers
        return self.request("POST", path, json.dumps(data).encode(), **headers)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request of any method, with any body, as a script of the site does."""
        return self._answer(method, path, body, {"sec_fetch_site": "same-origin"} | headers)

    def _answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        path, _, query = path.partition("?")
        if self._cookies:
            pairs = (f"{name}={value}" for name, value in self._cookies.items())
            headers = {"cookie": "; ".join(pairs)} | headers
        event = http_api(path, query, method=method, **headers)
        if body:
            event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        return self._taken(_call(event))

    def _taken(self, answer: dict[str, Any]) -> Answer:
        for cookie in answer.get("cookies", []):
            pair, *attributes = cookie.split(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in (attribute.strip().lower() for attribute in attributes):
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = value
        body = answer.get("body", "")
        content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
        return Answer(answer["statusCode"], answer["headers"], content)


def _call(event: Event) -> dict[str, Any]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _handle(event)
    # In a thread, because the handler runs its own loop, and an async test has one already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_handle, event).result()


def _handle(event: Event) -> dict[str, Any]:
    from functions.app import handler, loop  # not at the top, because every test loads the fixtures

    asyncio.set_event_loop(loop)  # an async test may have left none
    answer: dict[str, Any] = handler(event, None)
    return answer
