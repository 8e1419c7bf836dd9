"""API Gateway's HTTP API, the function's front door: how Mangum is to read its events."""

from functools import cached_property

from mangum.handlers.api_gateway import HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Scope


class HttpApi(HTTPGateway):
    """Mangum's reader of payload format 2.0, but for two things which that does twice.

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
        scope = super().scope
        scope["path"] = self.event["requestContext"]["http"]["path"]
        return scope
