"""The auction on two hosts, as in the cloud: its data is in DynamoDB, its bus is SNS and SQS."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.test_auction import sold_by_either
from tests.app.test_site import enter, send
from tests.kit.aws import make_table
from tests.kit.buses import topic
from tests.kit.development import Development, start_development
from tests.kit.people import StartHosts

pytestmark = pytest.mark.usefixtures("cloud")


def tables(*names: str) -> dict[str, str]:
    """Create tables, and return the settings that name them."""
    return {name: f"dynamodb:{make_table(name.title())}" for name in names}


async def test_two_hosts(hosts: StartHosts) -> None:
    """A lot with a bid is sold once, even if the selling host is killed."""
    await sold_by_either(*await hosts(2, BUS=topic(), **tables("LOTS", "ENDINGS", "LEASES")))


def host_of(page: Page) -> str:
    """Return the host that a page is connected to, according to the load balancer's cookie."""
    cookies = {each.get("name"): each.get("value", "") for each in page.context.cookies()}
    return cookies["AWSALB"]


def entered(browser: Browser, site: Development, name: str) -> list[Page]:
    """Return two pages of one person, signed in in two browsers that use different hosts."""
    found: dict[str, Page] = {}
    while len(found) < 2:
        page = browser.new_context().new_page()
        enter(page, site, name)
        found.setdefault(host_of(page), page)
    return list(found.values())


def test_site(tmp_path: Path, browser: Browser, capfd: pytest.CaptureFixture[str]) -> None:
    """Emits of pages reach people on both hosts, which log their ids; signing out affects both."""
    options = ["--hosts", "2", "--bus", topic()]
    with start_development(tmp_path, *options, **tables("LOTS", "ENDINGS")) as site:
        gus = browser.new_context().new_page()
        enter(gus, site, "Gus", "gavel")
        send(gus, "/api/lots", '{"lot": "harp"}', "application/json")
        ann, other = entered(browser, site, "Ann")
        for page in (ann, other):
            expect(page.locator("#lots li")).to_have_count(1)
        withdrawn = send(gus, "/staff/withdrawals", "lot=harp")
        news = send(gus, "/staff/news", "text=Tea+is+ready.")
        for page in (ann, other):
            expect(page.locator("#lots li")).to_have_count(0)
            expect(page.locator("#news")).to_have_text("Tea is ready.")
        ann.get_by_role("button", name="Sign out everywhere").click()
        expect(other.locator("#state")).to_have_text("io server disconnect")
        other.goto(site.url)
        expect(other.locator("h1")).not_to_have_text("For sale, Ann")
    log = capfd.readouterr().err
    for host in ("host 1", "host 2"):
        for id_ in (withdrawn, news):
            assert any(host in line and id_ in line for line in log.splitlines()), log
