"""Bad requests: what strangers send that is no HTTP, for which aiohttp would log a trace each."""

import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger


class BadRequests(logging.Filter):
    """Has them counted by `note`, which is given a cause and a detail, and keeps them from the log.

    A body that cannot be decoded is one too, even if nobody wants to read it.
    """

    def __init__(self, note: Callable[[str, str], object]) -> None:
        super().__init__()
        self._note = note

    def start(self) -> None:
        """Begin to watch aiohttp's log."""
        server_logger.addFilter(self)

    def stop(self) -> None:
        """Watch no longer."""
        server_logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell if a record is about something else."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError):
            return True
        self._note("invalid requests", "not HTTP")
        return False
