"""A load balancer whose target is the function: its events and responses."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from mangum.handlers.alb import case_mutated_headers
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent

from functions.web.http_api import HttpApi, Received
from functions.web.rest_api import joined_headers, parameters


class LoadBalancer(HttpApi):
    """Reads and writes a load balancer's format, with or without multi-value headers."""

    @classmethod
    def infer(cls, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> bool:
        """Whether a load balancer sent an event."""
        return "elb" in (event.get("requestContext") or {})

    @property
    def received(self) -> Received:
        """The request in the event, which has the path and query undecoded."""
        headers = joined_headers(self.event)
        return Received(
            self.event["httpMethod"],
            unquote(self.event.get("path") or "/"),
            _query(parameters(self.event)),
            headers,
            headers.get("x-forwarded-for", "").rpartition(",")[2].strip(),
        )

    def __call__(self, response: Any) -> dict[str, Any]:
        """Return the response in the format that the target group expects."""
        answer = super().__call__(response)
        if "multiValueHeaders" in self.event:
            single = answer.pop("headers")
            many = {name: [value] for name, value in single.items()}
            answer["multiValueHeaders"] = many | answer.get("multiValueHeaders", {})
        return answer

    def with_cookies(self, answer: dict[str, Any], cookies: list[str]) -> dict[str, Any]:
        """Return an answer that sets cookies.

        Without multi-value headers, each cookie gets a Set-Cookie in a different mix of cases.
        """
        repeated = {"set-cookie": cookies}
        if "multiValueHeaders" in self.event:
            return answer | {"multiValueHeaders": repeated}
        return answer | {"headers": {**answer["headers"], **case_mutated_headers(repeated)}}


def _query(parameters: Mapping[str, str | Sequence[str]]) -> str:
    pairs = (
        (name, value)
        for name, values in parameters.items()
        for value in ([values] if isinstance(values, str) else values)
    )
    return "&".join(f"{name}={value}" for name, value in pairs)
