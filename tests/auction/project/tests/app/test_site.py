"""The whole site: emits of pages reach open windows, and ending a session disconnects them."""

import json
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.kit.development import Development


def enter(page: Page, site: Development, name: str, word: str = "") -> None:
    """Sign in with the form."""
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("The auctioneer's word").fill(word)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#state")).to_have_text("open")


SEND = """async ([path, type, body]) => {
    const answer = await fetch(path, {method: "POST", headers: {"content-type": type}, body});
    return [answer.status, await answer.text()];
}"""


def send(page: Page, path: str, body: str, kind: str = "application/x-www-form-urlencoded") -> str:
    """Send a request from a script of the page; return the response."""
    status, text = page.evaluate(SEND, [path, kind, body])
    assert status in (200, 201), text
    return str(text)


def test_pages_and_sockets(site: Development, browser: Browser) -> None:
    """Offers, news, withdrawals and bans of the auctioneer take effect at once for others."""
    auctioneer = browser.new_context()
    gus, ann = auctioneer.new_page(), browser.new_page()
    enter(gus, site, "Gus", "gavel")
    assert send(gus, "/api/lots", json.dumps({"lot": "harp"}), "application/json")
    enter(ann, site, "Ann")
    expect(ann.locator("#lots li")).to_have_count(1)
    assert send(gus, "/staff/news", "text=Tea+is+ready.")
    expect(ann.locator("#news")).to_have_text("Tea is ready.")
    assert send(gus, "/staff/withdrawals", "lot=harp")
    expect(ann.locator("#lots li")).to_have_count(0)
    assert send(gus, "/staff/bans", "visitor=ann")
    expect(ann.locator("#state")).to_have_text("io server disconnect")
    expect(gus.locator("#state")).to_have_text("open")
    other = auctioneer.new_page()
    other.goto(site.url)
    expect(other.locator("#state")).to_have_text("open")
    other.get_by_role("button", name="Sign out", exact=True).click()
    expect(gus.locator("#state")).to_have_text("io server disconnect")


def test_question(site: Development, browser: Browser) -> None:
    """A question goes through the queue and its function to all browsers."""
    ann, bob = browser.new_page(), browser.new_page()
    enter(ann, site, "Ann")
    enter(bob, site, "Bob")
    ann.get_by_label("Question").fill("How old?")
    ann.get_by_role("button", name="Ask").click()
    expect(bob.locator("#news")).to_have_text("Ann asks: How old?")


def test_doctor(site: Development, browser: Browser) -> None:
    """scripts/doctor finds nothing wrong, seen from the sign-in page and with a session."""
    page = browser.new_page()
    enter(page, site, "Doc")
    (cookie,) = (each for each in page.context.cookies() if "session" in each.get("name", ""))
    session = f"{cookie.get('name')}={cookie.get('value')}"
    options = ["--page", "/sign-in", "--session", session, "--namespace", "/auction"]
    command = [sys.executable, "-m", "scripts.commands.doctor", site.url, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_takings(tmp_path: Path) -> None:
    """The nightly function can be run at once."""
    command = [sys.executable, "-m", "scripts.commands.dev", "--data", str(tmp_path)]
    done = subprocess.run([*command, "--run", "Takings"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"takings": 0' in done.stdout
