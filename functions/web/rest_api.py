"""API Gateway's REST API: payload format 1.0, which HTTP APIs can also be set to send."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlencode

from mangum.types import LambdaConfig, LambdaContext, LambdaEvent

from functions.web.http_api import HttpApi, Received


class RestApi(HttpApi):
    """Reads and writes payload format 1.0, in place of Mangum's classes."""

    @classmethod
    def infer(cls, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> bool:
        """Whether an event has payload format 1.0."""
        return "httpMethod" in event and "resource" in event

    @property
    def received(self) -> Received:
        """The request in the event."""
        path = self.event.get("path") or "/"
        if "version" not in self.event:
            path = unquote(path)  # a REST API does not decode it, an HTTP API does
        identity = (self.event.get("requestContext") or {}).get("identity") or {}
        return Received(
            self.event["httpMethod"],
            path,
            urlencode(parameters(self.event), doseq=True, errors="replace"),
            joined_headers(self.event),
            identity.get("sourceIp") or "",
        )

    def with_cookies(self, answer: dict[str, Any], cookies: list[str]) -> dict[str, Any]:
        """Return an answer that sets cookies."""
        return answer | {"multiValueHeaders": {"set-cookie": cookies}}


def parameters(event: LambdaEvent) -> Mapping[str, str | Sequence[str]]:
    """Return an event's query parameters, as they are in the event."""
    found: Mapping[str, str | Sequence[str]] = (
        event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    )
    return found


def joined_headers(event: LambdaEvent) -> dict[str, str]:
    """Return an event's headers by lower-case name, with repeated ones joined."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        headers[name.lower()] = ("; " if name.lower() == "cookie" else ", ").join(values)
    return headers
