"""A visitor of your pages, who calls the function as Lambda does, and keeps its cookie."""

import asyncio
import base64
import json
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
    text: str

    def json(self) -> Any:
        """The parsed JSON of the response."""
        return json.loads(self.text)


class Visitor:
    """Requests pages with a session cookie, without following redirects."""

    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        """Request a page; the path may have a query, and `_` in a header's name means `-`."""
        return self._answer("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Send a form, as a page of the site does."""
        headers = {
            "content_type": "application/x-www-form-urlencoded",
            "sec_fetch_site": "same-origin",
        } | headers
        return self._answer("POST", path, urlencode(fields), headers)

    def post_json(self, path: str, data: Any, **headers: str) -> Answer:
        """Send JSON, as a script of the site does."""
        headers = {"content_type": "application/json", "sec_fetch_site": "same-origin"} | headers
        return self._answer("POST", path, json.dumps(data), headers)

    def _answer(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        path, _, query = path.partition("?")
        if self._cookies:
            pairs = (f"{name}={value}" for name, value in self._cookies.items())
            headers = {"cookie": "; ".join(pairs)} | headers
        event = http_api(path, query, method=method, **headers)
        if body is not None:
            event["body"] = body
        return self._taken(_call(event))

    def _taken(self, answer: dict[str, Any]) -> Answer:
        for cookie in answer.get("cookies", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        text = answer.get("body", "")
        if answer.get("isBase64Encoded"):
            text = base64.b64decode(text).decode()
        return Answer(answer["statusCode"], answer["headers"], text)


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
