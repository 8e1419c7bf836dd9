"""Every night: logs what the auction has earned."""

import logging
import os
from contextlib import closing
from typing import Any

from functions.model.lots import open_lots

_log = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Log the sum, and return it."""
    with closing(open_lots(os.environ["LOTS"])) as lots:
        sold = [lot for lot in lots.all() if lot.sold and lot.bidder]
    takings = {"lots": len(sold), "takings": sum(lot.amount for lot in sold)}
    _log.warning("Takings: %s", takings)
    return takings
