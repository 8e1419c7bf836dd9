"""The front page, and its event."""

from tests.kit.pages import Visitor
from tests.kit.people import Host


def test_page(pages: Visitor) -> None:
    """The front page says hello, and loads its script."""
    page = pages.get("/")
    assert page.status == 200
    assert "<h1>Hello, " in page.text
    assert "/static/front." in page.text


async def test_others_see_what_is_typed(host: Host) -> None:
    """What one client types reaches the others, but not the client itself."""
    ann, bob = await host.connect("Ann"), await host.connect("Bob")
    assert await ann.call("input-change", "Hel") == {}
    assert await bob.receive("update-input") == "Hel"
    assert await bob.call("input-change", "Hello") == {}
    assert await ann.receive("update-input") == "Hello"


async def test_invalid_text_is_refused(host: Host) -> None:
    """Anything but a text of limited length gets an error that says what to send."""
    ann = await host.connect("Ann")
    for bad in (None, 7, "x" * 2_001):
        assert "Send a text" in (await ann.call("input-change", bad))["error"]
