"""The log limit: each cause is logged once, with its traceback, and then counted every minute.

Clients can cause log lines as often as they like. So a cause is identified by the place in the
code, the message and the exception's type, and never by input. If that is not enough, pass
`extra={"cause": …}`.
"""

import asyncio
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger(__name__)

_MINUTE = 60.0

MAX_CAUSES = 500  # tracked at a time; further ones are counted as one

# Characters that are escaped: controls, which forge lines or move the cursor, those that change
# the direction of writing, and surrogates, which streams cannot encode.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 2_000  # characters of a line
_MOST_FRAMES = 20  # of each exception in a traceback, those nearest to where it was raised
_MOST_LINES = 60  # of a traceback


@dataclass(slots=True)
class _Window:
    """The time after a line during which further ones with its cause are only counted."""

    sample: str
    ends: float
    count: int = 0


class LogLimit(logging.Filter):
    """Lets the first record of each cause through and counts the others, until `report`.

    One instance may filter several loggers and handlers.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[Hashable, _Window] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written."""
        if record.name == __name__ or getattr(record, "let_through", False):
            return True
        cause, now = _cause(record), self._clock()
        with self._lock:
            if cause not in self._windows and len(self._windows) >= MAX_CAUSES:
                cause = None
            window = self._windows.get(cause)
            # Much later it is forgotten, even if `report` is never called.
            if window is not None and now < window.ends + _MINUTE:
                window.count += 1
                return False
            self._windows[cause] = _Window(_sample(record), now + _MINUTE)
        record.let_through = True
        return True

    def report(self, *, early: bool = False) -> None:
        """Write the count for each cause whose minute is over."""
        now, lines = self._clock(), []
        with self._lock:
            for cause, window in list(self._windows.items()):
                if now < window.ends and not early:
                    continue
                if window.count:
                    lines.append((window.count, window.sample))
                    window.count, window.ends = 0, now + _MINUTE
                else:
                    del self._windows[cause]
        for count, sample in lines:
            _log.warning("%d more like this: %s", count, sample)

    async def keep_reporting(self) -> None:
        """Report every minute, and when cancelled."""
        try:
            while True:
                await asyncio.sleep(_MINUTE)
                self.report()
        finally:
            self.report(early=True)


class SafeFormatter(logging.Formatter):
    """Writes a record on one line and its traceback on indented ones, with unsafe text escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        lines = [f"{record.levelname} {record.name}: {escaped(_message(record))}"]
        if record.exc_info and record.exc_info[1] is not None:
            lines += _trace(record.exc_info[1])
        return "\n".join(lines)


def escaped(text: str) -> str:
    """Return a text with unsafe characters escaped, and cut to the longest line."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


LIMIT = LogLimit()  # of this process


def install() -> None:
    """Limit and escape everything that this process logs, including Python's own messages."""
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter())
    handler.addFilter(LIMIT)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.raiseExceptions = (
        False  # otherwise a record that cannot be written prints a traceback of its own
    )
    logging.captureWarnings(True)
    sys.unraisablehook = _unraisable


def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an event loop's unhandled exception; for `set_exception_handler`."""
    _asyncio.error(
        "Unhandled error: %.200s", context.get("message"), exc_info=context.get("exception")
    )


_asyncio = logging.getLogger("asyncio")


def _unraisable(caught: Any) -> None:
    _asyncio.error("An exception was ignored", exc_info=caught.exc_value)


def _cause(record: logging.LogRecord) -> Hashable:
    error = record.exc_info[1] if record.exc_info else None
    # Without arguments, the message may contain input; with arguments, it is a format string.
    words = str(record.msg) if record.args else ""
    named = getattr(record, "cause", None)
    place = record.name, record.pathname, record.lineno
    return place, words, named, type(error), _raised_at(error)


def _raised_at(error: BaseException | None) -> tuple[str, int] | None:
    if error is None or isinstance(error, RecursionError) or error.__traceback__ is None:
        return None
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return frame.f_code.co_filename, line


def _sample(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    kind = "" if error is None else f" ({type(error).__name__})"
    return f"{record.levelname} {record.name}: {escaped(str(record.msg)[:200])}{kind}"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that cannot be shown, such as one nested too deeply
        return str(record.msg)


def _trace(error: BaseException) -> Iterator[str]:
    try:
        text = "".join(traceback.format_exception(error, limit=-_MOST_FRAMES))
    except Exception:
        text = f"{type(error).__name__}, which cannot be shown"
    lines = text.rstrip("\n").split("\n")
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES // 2], "…", *lines[-_MOST_LINES // 2 :]]
    for line in lines:
        yield "  " + escaped(line)
