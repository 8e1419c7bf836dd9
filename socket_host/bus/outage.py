"""An outage of one direction of the bus, and when to retry."""

import asyncio
import logging
import random

_log = logging.getLogger(__name__)

# Seconds between two tries. The longest is short, so that all hosts reconnect soon.
_FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Outage:
    """Logs when the outage begins and ends, but not each failure in between.

    `sentence` says what is wrong; it is empty if nothing is.
    """

    def __init__(self, trouble: str, relief: str) -> None:
        self.sentence = ""
        self._trouble = trouble
        self._relief = relief
        self._pause = _FIRST_PAUSE

    def begin(self, why: object) -> None:
        """Note a failure."""
        reason = str(why).rstrip(".")
        began = not self.sentence
        self.sentence = f"{self._trouble}: {reason}."
        if began:
            _log.error("%s", self.sentence, extra={"cause": self._trouble})

    def end(self) -> None:
        """Note a success."""
        if self.sentence:
            _log.info("%s", self._relief, extra={"cause": self._relief})
            self.sentence = ""
        self._pause = _FIRST_PAUSE

    async def pause(self) -> None:
        """Wait before the next try, longer each time, with jitter."""
        await asyncio.sleep(random.uniform(self._pause / 2, self._pause))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
