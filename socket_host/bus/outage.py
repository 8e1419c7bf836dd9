"""An outage: one way through the bus that does not work now, and when to try again."""

import asyncio
import logging
import random

_log = logging.getLogger(__name__)

# Seconds between two tries. The longest is short, so that all hosts are back soon after the bus.
_FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Outage:
    """Says in the log when it begins and when it has ended, not what failed between.

    `sentence` says what is wrong, for as long as it is; else it is empty.
    """

    def __init__(self, trouble: str, relief: str) -> None:
        self.sentence = ""
        self._trouble = trouble
        self._relief = relief
        self._pause = _FIRST_PAUSE

    def begin(self, why: object) -> None:
        """Note that it does not work, or still does not."""
        reason = str(why).rstrip(".")
        began = not self.sentence
        self.sentence = f"{self._trouble}: {reason}."
        if began:
            _log.error("%s", self.sentence, extra={"cause": self._trouble})

    def end(self) -> None:
        """Note that it works, or works again."""
        if self.sentence:
            _log.info("%s", self._relief, extra={"cause": self._relief})
            self.sentence = ""
        self._pause = _FIRST_PAUSE

    async def pause(self) -> None:
        """Wait before the next try, longer each time, and not as long as other hosts do."""
        await asyncio.sleep(random.uniform(self._pause / 2, self._pause))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
