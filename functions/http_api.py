"""API Gateway's HTTP API, the function's front door: how Mangum is to read its events."""

from functools import cached_property

from mangum.handlers.api_gateway import HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Scope


class HttpApi(HTTPGateway):
    """Reads payload format 2.0 as Mangum does, but does nothing twice.

    Mangum decodes the path, which the API has decoded already: `/a%2541` became `/aA`. And it makes
    the scope once more for the answer.
    """

    @classmethod
    def infer(cls, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> bool:
        """Whether an event is the HTTP API's: a function URL's paths come as they were sent."""
        domain = event.get("requestContext", {}).get("domainName", "")
        return event.get("version") == "2.0" and ".lambda-url." not in domain

    @cached_property
    def scope(self) -> Scope:
        """The request as ASGI has it."""
        described = self.event["requestContext"]
        headers = {name.lower(): value for name, value in self.event["headers"].items()}
        if cookies := self.event.get("cookies"):
            headers["cookie"] = "; ".join(cookies)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "http_version": "1.1",
            "method": described["http"]["method"],
            "scheme": headers.get("x-forwarded-proto", "https"),
            "path": described["http"]["path"],
            "raw_path": None,
            "root_path": "",
            "query_string": self.event["rawQueryString"].encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": (described["http"]["sourceIp"], 0),
            "server": (headers.get("host", ""), 443),
            "aws.event": self.event,
            "aws.context": self.context,
        }
