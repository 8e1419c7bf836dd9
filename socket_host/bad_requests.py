"""Bad requests: input that is not HTTP, for which aiohttp would log tracebacks."""

import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger


class BadRequests(logging.Filter):
    """Counts bad requests with `note(cause, detail)`, and keeps them out of the log.

    A body that cannot be decoded counts too, even if no handler reads it.
    """

    def __init__(self, note: Callable[[str, str], object]) -> None:
        super().__init__()
        self._note = note

    def start(self) -> None:
        """Start filtering aiohttp's log."""
        server_logger.addFilter(self)

    def stop(self) -> None:
        """Stop filtering."""
        server_logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is not about a bad request."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError):
            return True
        self._note("invalid requests", "not HTTP")
        return False
