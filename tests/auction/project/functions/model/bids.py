"""The payloads: lots on offer, and bids for them."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

MOST = 1_000_000


@dataclass
class Bid:
    """A bid for a lot."""

    lot: str
    amount: int

    def __post_init__(self) -> None:
        if not 0 < self.amount <= MOST:
            raise ValueError(f"must be from 1 to {MOST:,}")


class Offer(BaseModel):
    """A lot and its reserve price."""

    lot: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    reserve: Annotated[int, Field(ge=0, le=MOST)] = 0
