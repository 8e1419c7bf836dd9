"""Costs are computed from one table of prices, and the documents agree with them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.commands.costs import prices
from scripts.commands.costs.deployment import Deployment
from scripts.commands.costs.documents import PAGE, README, NoBlockError, written
from scripts.commands.costs.sums import Sums

TEMPLATE = ROOT / "infra/template.yaml"


@pytest.fixture(scope="module")
def sums() -> Sums:
    return Sums(prices.read(), Deployment.read(TEMPLATE))


def test_documents_agree(sums: Sums) -> None:
    """docs/costs.md and the README have the current costs; otherwise run scripts/costs."""
    for path, text in written(ROOT, sums).items():
        assert (ROOT / path).read_text() == text, f"run scripts/costs: {path} has other sums"


def test_readme_without_a_place(sums: Sums, tmp_path: Path) -> None:
    """A README without a place for its table is reported."""
    (tmp_path / README).write_text("# Ours\n")
    with pytest.raises(NoBlockError, match="scripts/costs writes this"):
        written(tmp_path, sums)


@pytest.mark.parametrize("price", prices.read().values(), ids=lambda price: price.name)
def test_prices_have_sources(price: prices.Price) -> None:
    """Each price has a unit, a source, and a date, or is marked as unchecked."""
    assert price.price > 0
    assert price.unit
    assert price.source.startswith("https://")
    assert re.fullmatch(r"(20\d\d-\d\d(-\d\d)?)?", price.checked)


def test_prices_from_memory_are_marked(sums: Sums) -> None:
    """A price that was not checked is marked wherever it is used."""
    page = written(ROOT, sums)["docs/costs.md"]
    checked = {
        name: replace(price, checked=price.checked or "2026-01")
        for name, price in sums.prices.items()
    }
    # The explanation of the mark stays.
    assert written(ROOT, replace(sums, prices=checked))["docs/costs.md"].count("†") == 1
    unchecked = [price for price in sums.prices.values() if not price.checked]
    assert page.count("† from memory") == len(unchecked)


def test_sums_by_hand(sums: Sums) -> None:
    """Costs agree with a calculation by hand."""
    assert sums.host() == pytest.approx(730 * (0.25 * 0.03238 + 0.5 * 0.00356))
    assert sums.balancer(3_000) == pytest.approx(730 * (0.0225 + 0.008))
    assert sums.hosts(0) == sums.hosts(10_000) == 2
    assert sums.hosts(10_001) == 3
    # Ten emits a second on twenty hosts, nearly all of it for SQS.
    messages = 10 * 2.628  # millions a month
    sqs = messages * 20 * 2 * 0.50
    assert sqs == pytest.approx(525.6)
    emits = sums.sns(20, 10) - sums.sns(20)
    assert emits == pytest.approx(sqs + messages * 0.30 + messages * 20 * 0.01)
    assert sqs > sums.without_bus(100_000)  # as the page says
    # One heartbeat of each host every two seconds, which all receive.
    assert sums.sns_heartbeats(2) == pytest.approx(2 / 2 * 2.628 * (0.30 + 2 * 1.01))
    # One host receives a function's emit, and passes it on.
    assert sums.valkey_function_emit() == pytest.approx(2.628 * 1.31)


@pytest.mark.parametrize("hosts", [1, 2, 3])
def test_break_even(hosts: int, sums: Sums) -> None:
    """At the break-even both cost the same; with four hosts Valkey is always cheaper."""
    emits = sums.break_even(hosts)
    assert emits > 0
    assert sums.sns(hosts, emits) == pytest.approx(sums.valkey(hosts))
    assert sums.break_even(4) == 0
    assert sums.sns(4) > sums.valkey(4)


def test_parts_add_up(sums: Sums) -> None:
    """Each total in the page's table is the sum of its rows, except for rounding."""
    section = (ROOT / PAGE).read_text().partition("## A site")[2].partition("\n## ")[0]
    rows = [re.findall(r"([\d,]+\.\d)\*{0,2} (?=\|)", row) for row in section.splitlines()]
    amounts = [[float(a.replace(",", "")) for a in row] for row in rows if len(row) == 3]
    *parts, whole, _, _ = amounts
    assert len(parts) == 6
    assert [sum(column) for column in zip(*parts, strict=True)] == pytest.approx(whole, abs=0.3)


def test_template_decides(tmp_path: Path, sums: Sums) -> None:
    """Additions to the template cost money: an alarm, a dashboard, memory."""
    text = TEMPLATE.read_text()
    alarm = text[text.index("  PagesFail:") : text.index("  # Lambda rejects requests for pages.")]
    more = text.replace(alarm, alarm + alarm.replace("PagesFail", "PagesFailToo"))
    changed = tmp_path / "template.yaml"
    changed.write_text(more.replace('Memory: "512"', 'Memory: "1024"'))
    other = Sums(sums.prices, Deployment.read(changed))
    assert other.watching() - sums.watching() == pytest.approx(0.10)
    assert other.host() - sums.host() == pytest.approx(730 * 0.5 * 0.00356)


# Other files with costs; scripts/costs writes docs/costs.md.
ELSEWHERE = [ROOT / README, *(ROOT / "docs").glob("*.md"), *(ROOT / "infra").iterdir()]


@pytest.mark.parametrize(
    "file", [f for f in ELSEWHERE if f.name != "costs.md"], ids=lambda f: f.name
)
def test_amounts_elsewhere_are_known(file: Path, sums: Sums) -> None:
    """Each amount in the documents and the template is a price or a computed cost."""
    known = [price.price for price in sums.prices.values()]
    known += [sums.host(), sums.address(), sums.balancer(0), sums.capacity(), sums.snapshot()]
    known += [sums.nat_gateway(), sums.endpoints(7), sums.web_acl(), sums.stored()]
    for amount in re.findall(r"\$(\d[\d,]*(?:\.\d+)?)", file.read_text()):
        digits = len(amount.partition(".")[2])
        value = float(amount.replace(",", ""))
        assert any(round(each, digits) == value for each in known), f"${amount}"
