"""Security headers, on every response of the function."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SecurityHeaders:
    """ASGI middleware that forbids loading from other sites and framing.

    `scripts` are hashes of the inline scripts that pages may run. Headers set by a page are kept.
    """

    def __init__(self, app: ASGIApp, *, scripts: str) -> None:
        self.app = app
        headers = {
            "content-security-policy": (
                f"default-src 'self'; script-src 'self' {scripts}; img-src 'self' data:; "
                "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
            ),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            # A year, in seconds. Browsers ignore it over plain http.
            "strict-transport-security": f"max-age={365 * 24 * 60 * 60}",
        }
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                present = {name for name, _ in headers}
                headers += [header for header in self.headers if header[0] not in present]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_headers)
