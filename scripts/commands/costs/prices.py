"""The prices, each with its unit, its source, and the date it was checked."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "prices.toml"


@dataclass(frozen=True)
class Price:
    """Dollars for a unit, in us-east-1."""

    name: str
    price: float
    unit: str
    source: str
    checked: str = ""  # a date; empty if the price is from memory


def read() -> dict[str, Price]:
    """Return the prices by name."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: Price(name, **row) for name, row in table.items()}
