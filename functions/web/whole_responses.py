"""Whole responses: an error in the middle of a body becomes an error page, not half a page."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class WholeResponses:
    """ASGI middleware that holds a response back until its body is complete.

    The function returns every response in one piece anyway.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                for each in held:
                    await send(each)
                held.clear()

        await self.app(scope, receive, hold)
