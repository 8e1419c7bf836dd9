"""The headers that every HTTP response has."""

from aiohttp import web

HEADERS = {"Server": "Sidepath", "X-Content-Type-Options": "nosniff"}


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add the headers that every response has."""
    response.headers.update(HEADERS)
