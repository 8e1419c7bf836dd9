"""The whole site in windows of a real browser, through the edge and both halves."""

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from functions.contract.session import COOKIE
from tests.kit.browsers import chromium
from tests.kit.development import Development

pytestmark = pytest.mark.together("browser")

ROOT = Path(__file__).parent.parent.parent
LIVE = re.compile("Live")
PATIENCE = (
    30_000  # ms, because a killed host has to start again, and browsers wait between attempts
)

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

TUNNEL = "tunnel.localhost"  # another name of the site, which the host does not know


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that also resolves the site's other name."""
    with chromium(f"--host-resolver-rules=MAP {TUNNEL} 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def room() -> str:
    """The name of a new room."""
    return f"room-{uuid.uuid4().hex[:12]}"


Visit = Callable[..., Page]


@pytest.fixture
def visit(site: Development, browser: Browser) -> Iterator[Visit]:
    """Opens pages as new visitors; no page may log an error in its console."""
    contexts = []
    errors: list[str] = []

    def visit(path: str, *, errors_expected: bool = False, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        if not errors_expected:
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda line: errors.extend([line.text] * (line.type == "error")))
        page.goto(site.url + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


def live(page: Page) -> Page:
    expect(page.locator("#status")).to_have_text(LIVE)
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message to").fill(text)
    page.keyboard.press("Enter")


def texts(page: Page) -> list[str]:
    return page.locator("#messages li p").all_inner_texts()


def stored(page: Page) -> list[int]:
    numbers = page.locator("#messages li").evaluate_all("items => items.map(i => i.dataset.seq)")
    return [int(number) for number in numbers]


def test_two_windows(visit: Visit, room: str) -> None:
    """Two windows see each other's note, messages, typing and presence."""
    ann, bob = live(visit(f"/rooms/{room}")), live(visit(f"/rooms/{room}"))
    expect(ann.locator("#status")).to_have_text("Live · websocket")
    expect(ann.locator("#count")).to_have_text("2")

    ann.get_by_label("Shared note").press_sequentially("milk, bread")
    expect(bob.get_by_label("Shared note")).to_have_value("milk, bread")

    ann.get_by_label("Message to").press_sequentially("hel")
    name = ann.locator("#room").get_attribute("data-name")
    expect(bob.locator("#typing")).to_have_text(f"{name} is typing…")
    say(ann, "hello <b>Bob</b>")
    expect(bob.locator("#messages li p")).to_have_text(["hello <b>Bob</b>"])
    expect(bob.locator("#typing")).to_have_text("")
    say(bob, "hello Ann")
    for page in (ann, bob):
        expect(page.locator("#messages li p")).to_have_text(["hello <b>Bob</b>", "hello Ann"])
        expect(page.locator(".unsent")).to_have_count(0)
    expect(ann.locator("li.mine p")).to_have_text(["hello <b>Bob</b>"])

    bob.close()
    expect(ann.locator("#count")).to_have_text("1")


def test_page_continues_from_the_rendered_history(visit: Visit, room: str) -> None:
    """A later visitor sees earlier messages once, before the socket has connected."""
    ann = live(visit(f"/rooms/{room}"))
    say(ann, "first")
    expect(ann.locator("#messages li[data-seq='1']")).to_be_visible()
    ann.get_by_label("Shared note").fill("a note")
    bob = live(visit(f"/rooms/{room}"))
    expect(bob.get_by_label("Shared note")).to_have_value("a note")
    say(ann, "second")
    expect(bob.locator("#messages li p")).to_have_text(["first", "second"])


def test_reading_without_javascript(visit: Visit, room: str) -> None:
    """Without JavaScript the page shows the room's current state, and a note to reload it."""
    ann = live(visit(f"/rooms/{room}"))
    say(ann, "for everybody")
    expect(ann.locator("#messages li[data-seq='1']")).to_be_visible()
    reader = visit(f"/rooms/{room}", java_script_enabled=False)
    expect(reader.locator("#messages li p")).to_have_text(["for everybody"])
    # If scripts are disabled by a test, Chromium parses noscript as if they were enabled.
    assert "reload it to see new messages" in (reader.locator("noscript").text_content() or "")


def test_host_killed(visit: Visit, room: str, site: Development) -> None:
    """If the host is killed while two people write, no message is lost, doubled or reordered."""
    pages = [
        live(visit(f"/rooms/{room}", errors_expected=True)),
        live(visit(f"/rooms/{room}", errors_expected=True)),
    ]
    wanted = []
    for number in range(24):
        if number == 8:
            site.kill_host()
        say(pages[number % 2], f"number {number}")
        wanted.append(f"number {number}")
    for page in pages:
        expect(page.locator("#messages li[data-seq='24']")).to_be_visible()
        expect(page.locator(".unsent")).to_have_count(0)
        assert stored(page) == list(range(1, 25))
        assert sorted(texts(page)) == sorted(wanted)
    assert texts(pages[0]) == texts(pages[1])
    for mine in (wanted[0::2], wanted[1::2]):
        assert [text for text in texts(pages[0]) if text in mine] == mine


def test_unsent_message_stays_visible(visit: Visit, room: str) -> None:
    """A message written offline is shown as unsent, survives a reload, and is sent once."""
    ann = live(visit(f"/rooms/{room}", errors_expected=True))
    bob = live(visit(f"/rooms/{room}"))
    ann.context.set_offline(True)
    say(ann, "from the tunnel")
    expect(ann.locator(".unsent p")).to_have_text("from the tunnel")
    expect(ann.locator(".unsent")).to_have_css("border-top-style", "dashed")
    expect(ann.locator(".unsent")).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    ann.context.set_offline(False)
    ann.reload()
    live(ann)
    for page in (ann, bob):
        expect(page.locator("#messages li[data-seq='1'] p")).to_have_text("from the tunnel")
        expect(page.locator("#messages li")).to_have_count(1)


def test_pages_work_while_the_host_is_down(visit: Visit, room: str, site: Development) -> None:
    """While the host is down, pages are still served, and open rooms show that they reconnect."""
    ann = live(visit(f"/rooms/{room}", errors_expected=True))
    with site.host_held_down():
        expect(ann.locator("#status")).to_have_text("Reconnecting…")
        about = visit("/about")
        expect(about.get_by_role("heading", level=1)).to_have_text("Who served this page?")
    live(ann)


def test_forged_session_is_renewed(visit: Visit, room: str, site: Development) -> None:
    """If the host refuses a session, the page reloads itself once to get a new one."""
    ann = live(visit(f"/rooms/{room}", errors_expected=True))
    ann.context.clear_cookies()
    ann.context.add_cookies([{"name": COOKIE, "value": "forged", "url": site.url}])
    site.kill_host()
    ann.wait_for_event("load", timeout=PATIENCE)
    live(ann)
    say(ann, "here again")
    expect(ann.locator("#messages li[data-seq='1']")).to_be_visible()


def second_tab(page: Page) -> Page:
    """Open another tab of the same browser in the same room."""
    tab = page.context.new_page()
    tab.goto(page.url)
    return live(tab)


def shown(page: Page) -> str:
    """Return the composer's placeholder, which contains the visitor's name."""
    return str(page.get_by_label("Message to").get_attribute("placeholder"))


def test_two_first_visits_end_as_one_person(visit: Visit, room: str) -> None:
    """If two tabs get sessions at once, the browser keeps one of them, and both tabs use it."""
    first = live(visit(f"/rooms/{room}"))
    say(first, "as whoever I was")
    expect(first.locator("li.mine[data-seq='1']")).to_be_visible()
    first.context.clear_cookies()  # as if the second tab's session had come later
    second = second_tab(first)
    expect(first.get_by_label("Message to")).to_have_attribute("placeholder", shown(second))
    expect(first.locator("#count")).to_have_text("1")
    expect(first.locator("li.mine")).to_have_count(0)
    say(second, "as who I am")
    expect(first.locator("li.mine[data-seq='2']")).to_be_visible()
    say(first, "and so am I")
    for tab in (first, second):
        expect(tab.locator("li.mine p")).to_have_text(["as who I am", "and so am I"])
        expect(tab.locator("#messages li[data-seq]")).to_have_count(3)


def test_page_shows_who_the_host_says_it_is(visit: Visit, room: str, site: Development) -> None:
    """A tab whose session was replaced shows the new name, and marks that visitor's messages."""
    ann = live(visit(f"/rooms/{room}", errors_expected=True))
    say(ann, "as whoever I was")
    expect(ann.locator("li.mine[data-seq='1']")).to_be_visible()
    somebody = visit(f"/rooms/{room}", errors_expected=True)
    say(live(somebody), "by somebody")
    expect(ann.locator("#messages li[data-seq='2']")).to_be_visible()
    ann.reload()  # the server renders both messages, without their authors' ids
    live(ann)
    cookies: Any = somebody.context.cookies()
    ann.context.add_cookies(cookies)
    site.kill_host()
    expect(ann.get_by_label("Message to")).to_have_attribute("placeholder", shown(somebody))
    expect(ann.locator("li.mine p")).to_have_text(["by somebody"])


def cut(socket: WebSocketRoute) -> None:
    socket.close()


def test_where_websockets_cannot_pass(visit: Visit, room: str) -> None:
    """If a network blocks websockets, long polling is used, and everything else works."""
    ann = visit("/about", errors_expected=True)
    ann.route_web_socket(re.compile("socket.io"), cut)
    ann.goto(ann.url.replace("/about", f"/rooms/{room}"))
    expect(ann.locator("#status")).to_have_text("Live · polling")
    bob = live(visit(f"/rooms/{room}"))
    say(ann, "by polling")
    expect(bob.locator("#messages li p")).to_have_text(["by polling"])
    say(bob, "by websocket")
    expect(ann.locator("#messages li p")).to_have_text(["by polling", "by websocket"])


def test_times_are_the_readers_own(visit: Visit, room: str) -> None:
    """A message's time is shown in the reader's time zone."""
    ann = live(visit(f"/rooms/{room}", timezone_id="UTC", locale="en-GB"))
    say(ann, "what time is it?")
    expect(ann.locator("#messages li[data-seq='1'] time")).to_have_text(re.compile(r"\d\d:\d\d"))
    there = visit(f"/rooms/{room}", timezone_id="Asia/Kathmandu", locale="en-GB")
    expect(there.locator("time")).not_to_have_text(re.compile("Z"))
    here, shown = (page.locator("time").inner_text()[-5:] for page in (ann, there))
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (here, shown)]
    assert (minutes[1] - minutes[0]) % (24 * 60) == 5 * 60 + 45


def test_first_load(visit: Visit, site: Development) -> None:
    """The front page loads in at most six requests, including the socket, and under 40 KB."""
    page = visit("/about")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("websocket", lambda socket: requests.append(socket.url))
    page.goto(site.url)
    live(page)
    assert len(requests) <= 6, requests
    sizes = page.evaluate(
        "performance.getEntries().map(entry => entry.transferSize ?? 0).reduce((a, b) => a + b)"
    )
    assert 10_000 < sizes < 40_000


def test_look(visit: Visit, room: str) -> None:
    """Wide or narrow, light or dark, pages do not scroll sideways, and axe finds no violations.

    The screenshots are written to test-results/.
    """
    ann, bob = live(visit(f"/rooms/{room}")), live(visit(f"/rooms/{room}"))
    say(ann, "Morning! The edge sends /socket.io/ past the function now.")
    expect(bob.locator("#messages li")).to_have_count(1)
    say(bob, "And the page itself still comes from Lambda? " + "long" * 40)
    expect(ann.locator("#messages li")).to_have_count(2)
    ann.get_by_label("Shared note").fill("Ship it on Thursday")
    bob.get_by_label("Message to").press_sequentially("so")
    expect(ann.locator("#typing")).to_have_text(re.compile("typing"))
    look(ann, "room")
    for name in ("about", "nope"):
        look(visit(f"/{name}", errors_expected=True), name)


def look(page: Page, name: str) -> None:
    """Take screenshots of a page in each size and color scheme, and check each with axe."""
    page.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text())
    for shape, width, height in (("wide", 1200, 800), ("narrow", 360, 740)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=ROOT / "test-results" / f"{name}-{shape}-{scheme}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("axe.run().then(found => found.violations)") == []


def test_composer_grows_only_with_its_text(visit: Visit, room: str) -> None:
    """A placeholder that needs two lines does not make the composer taller."""
    page = live(visit(f"/rooms/{room}", viewport={"width": 360, "height": 740}))
    message = page.get_by_label("Message to")
    heights = []
    message.evaluate("it => (it.placeholder = 'Message as Somebody With A Long Name')")
    for text in ("one", "", "one\ntwo"):
        message.fill(text)
        heights.append(message.evaluate("it => it.offsetHeight"))
    assert heights[0] == heights[1] < heights[2]


def test_keyboard_only(visit: Visit, room: str) -> None:
    """Everything can be reached and used without a mouse."""
    ann = live(visit(f"/rooms/{room}"))
    ann.keyboard.press("Tab")
    assert ann.evaluate("document.activeElement.className") == "skip"
    for _ in range(12):
        ann.keyboard.press("Tab")
        if ann.evaluate("document.activeElement.id") == "message":
            break
    ann.keyboard.type("typed")
    ann.keyboard.press("Shift+Enter")
    ann.keyboard.type("on two lines")
    ann.keyboard.press("Enter")
    expect(ann.locator("#messages li p")).to_have_text(["typed\non two lines"])


def test_page_under_another_name(site: Development, browser: Browser) -> None:
    """A page under a name that the host does not accept explains why it is not live."""
    page = browser.new_page()
    page.goto(site.url.replace("localhost", TUNNEL))
    notice = f"Pages of {site.url.replace('localhost', TUNNEL)} may not connect to this host"
    expect(page.locator("#notice")).to_contain_text(notice)
    expect(page.locator("#notice")).to_contain_text("PUBLIC_ORIGIN")
    page.close()
