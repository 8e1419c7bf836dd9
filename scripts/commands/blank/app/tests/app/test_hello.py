"""The hello page, and its event."""

from pathlib import Path

from tests.kit.clients import clients
from tests.kit.hosts import token, url
from tests.kit.lambda_events import http_api
from tests.kit.yours import invoke, serving


def test_page() -> None:
    """The front page says hello, and loads the script that speaks to the host."""
    answer = invoke(http_api("/"))
    assert answer["statusCode"] == 200
    assert "<h1>Hello, " in answer["body"]
    assert "/static/hello." in answer["body"]


async def test_others_see_what_is_typed(tmp_path: Path) -> None:
    """What one client types reaches the others, and not itself."""
    async with serving(tmp_path) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        assert await ann.call("input-change", "Hel") == {}
        assert await bob.receive("update-input") == "Hel"
        assert await bob.call("input-change", "Hello") == {}
        assert await ann.receive("update-input") == "Hello"


async def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    """Another value, or a text without end, gets an answer that says what to send."""
    async with serving(tmp_path) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        for bad in (None, 7, "x" * 2_001):
            assert "Send a text" in (await ann.call("input-change", bad))["error"]
