"""The documents with costs: docs/costs.md, and a table in the README."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.commands.costs.sums import Sums

PAGE = "docs/costs.md"
README = "README.md"

_SOCKETS = (0, 1_000, 100_000)

# The part of the README that is written here.
_BLOCK = re.compile(
    r"(<!-- scripts/costs writes this -->\n).*?(<!-- end of the generated part -->\n)", re.S
)


class NoBlockError(Exception):
    """The README has no place for its table; the text says how to mark it."""


def written(root: Path, sums: Sums) -> dict[str, str]:
    """Return each document's text by its path. Raises NoBlockError."""
    readme = (root / README).read_text(encoding="utf-8")
    if not _BLOCK.search(readme):
        raise NoBlockError(
            f"{README} lacks the lines <!-- scripts/costs writes this --> and "
            "<!-- end of the generated part -->."
        )
    table = _table("readme.md.j2", sums)
    return {
        PAGE: _render(
            "costs.md.j2", sums, site=_table("site.md.j2", sums), small=_small(sums)
        ).rstrip()
        + "\n",
        README: _BLOCK.sub(lambda found: f"{found[1]}{table}\n{found[2]}", readme),
    }


def _table(name: str, sums: Sums) -> str:
    text = _render(name, sums, sockets=_SOCKETS)
    return re.sub(r" +$", "", text, flags=re.MULTILINE).rstrip()


def _small(sums: Sums) -> str:
    """Return, in words, the numbers of hosts for which SNS and SQS can be cheaper."""
    cheaper = [n for n in range(1, 100) if sums.break_even(n)]
    return f"up to {max(cheaper)} hosts" if cheaper else "no number of hosts"


def _render(name: str, sums: Sums, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined
    )
    environment.filters |= {"usd": _dollars, "amount": _amount, "plain": _plain}

    def dagger(*names: str) -> str:
        return "" if all(sums.prices[name].checked for name in names) else "†"

    common = {"s": sums, "d": sums.deployment, "prices": sums.prices, "dagger": dagger}
    return environment.get_template(name).render(common | values)


def _dollars(value: float, digits: int) -> str:
    return f"${value:,.{digits}f}"


def _amount(value: float) -> str:
    return f"{value:,.1f}"


def _plain(value: float) -> str:
    """Return a price with all its digits, at least two of them after the point."""
    whole, _, rest = f"{value:.10f}".rstrip("0").partition(".")
    return f"{whole}.{rest:0<2}"
