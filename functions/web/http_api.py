"""API Gateway's HTTP API, the function's front door: how Mangum is to read its events."""

import json
from functools import cached_property

from mangum.handlers.api_gateway import HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Scope


class HttpApi(HTTPGateway):
    """Mangum's reader of payload format 2.0, but for what that does twice, or not at all.

    Mangum decodes the path, which the API has decoded already: `/a%2541` became `/aA`. It makes the
    scope once more for the answer. And it fails where a byte of a header is no UTF-8, and half a
    character stands in its place: here that is a question mark.
    """

    @classmethod
    def infer(cls, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> bool:
        """Whether an event is the HTTP API's: a function URL's paths come as they were sent."""
        domain = event.get("requestContext", {}).get("domainName", "")
        return event.get("version") == "2.0" and ".lambda-url." not in domain

    @cached_property
    def scope(self) -> Scope:
        """The request as ASGI has it."""
        try:
            scope = super().scope
        except UnicodeEncodeError:
            written = json.dumps(self.event, ensure_ascii=False)
            self.event = json.loads(written.encode(errors="replace"))
            scope = super().scope
        scope["path"] = self.event["requestContext"]["http"]["path"]
        return scope
