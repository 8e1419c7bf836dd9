"""A front end with React and esbuild: scripts/dev builds it, and its modules are immutable."""

import json
import re
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from tests.app.test_site import enter, send
from tests.kit.development import Development


def test_board(site: Development, browser: Browser) -> None:
    """React renders data from the page and the socket; every module has a hash in its name."""
    page = browser.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    enter(page, site, "Gus", "gavel")
    send(page, "/api/lots", json.dumps({"lot": "harp"}), "application/json")
    page.reload()
    expect(page.locator("#state")).to_have_text("open")  # otherwise it could miss the next event
    expect(page.locator("#lots li")).to_have_text(["harp"])
    send(page, "/staff/withdrawals", "lot=harp")
    expect(page.locator("#lots li")).to_have_count(0)
    send(page, "/api/lots", json.dumps({"lot": "lute"}), "application/json")
    page.reload()
    page.get_by_role("button", name="lute").click()
    expect(page.locator("#praise")).to_have_text("What a lute!")
    scripts = {path for path in asked if path.endswith(".js")}
    names = {re.fullmatch(r"/static/(.+)\.[0-9a-f]{12}\.js", path) for path in scripts}
    assert all(names), scripts
    found = {name[1].partition("-")[0] for name in names if name}
    assert {"board", "praise", "socket.io.esm.min"} <= found
    assert wrong == []
