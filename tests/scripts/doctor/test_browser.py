"""Doctor finds what browsers would refuse, though other clients would not notice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.commands.doctor.checks import PAGES
from tests.scripts.doctor.findings import examined
from tests.scripts.doctor.sites import Result, site

Add = Callable[[Result], None]


def header(policy: str) -> Add:
    """Another header in addition to the site's own."""

    def add(result: Result) -> None:
        result["headers"]["Content-Security-Policy"] = policy

    return add


def instead(change: Callable[[str], str]) -> Add:
    """Another policy instead of the site's own."""

    def add(result: Result) -> None:
        own = result["headers"]["content-security-policy"]
        result["headers"]["content-security-policy"] = change(own)

    return add


def meta(policy: str) -> Add:
    """A policy in the page itself."""

    def add(result: Result) -> None:
        if isinstance(result.get("body"), str) and not result.get("isBase64Encoded"):
            element = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            result["body"] = result["body"].replace("<head>", f"<head>{element}")

    return add


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (header("connect-src https://site.example"), "may not connect to 127.0.0.1"),
        (header("connect-src 'none'"), "by long polling and a websocket"),
        (instead(lambda own: f"{own}; connect-src https:"), "may not connect"),
        (instead(lambda own: f"{own}; connect-src http://127.0.0.1:*"), "by a websocket: connect"),
        (instead(lambda own: f"{own}, connect-src 'none'"), "may not connect"),
        (meta("connect-src 'none'"), "may not connect"),
        (meta("default-src 'none'"), "forbids"),
        (header("script-src 'none'"), "forbids"),
        (header("sandbox"), "has a sandbox without allow-same-origin and allow-scripts"),
        (header("sandbox allow-scripts"), "has a sandbox without allow-same-origin"),
    ],
)
async def test_policy_that_blocks_the_socket(tmp_path: Path, add: Add, words: str) -> None:
    """A policy that blocks the page's scripts or its socket is found and quoted."""

    def change(path: str, result: Result) -> Result:
        add(result)
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"csp"}
    assert words in findings.words("csp")


@pytest.mark.parametrize(
    "add",
    [
        header("frame-ancestors 'self'"),
        header("connect-src *"),
        instead(lambda own: f"{own}; connect-src 'self' https://api.example"),
        meta("object-src 'none'"),
    ],
)
async def test_policy_that_allows_the_socket(tmp_path: Path, add: Add) -> None:
    """Any number of policies that allow both pass."""

    def change(path: str, result: Result) -> Result:
        add(result)
        return result

    async with site(tmp_path, change=change) as edge:
        assert (await examined(edge.url, PAGES)).failed == set()


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("Domain=other.example", "has the Domain other.example, which does not include 127.0.0.1"),
        ("Domain=.other.example", "has the Domain other.example"),
        ("Domain=0.0.1", "does not include"),
        ("Max-Age=0", "has already expired"),
        ("Max-Age=-1", "has already expired"),
    ],
)
async def test_cookie_that_is_dropped(tmp_path: Path, attribute: str, words: str) -> None:
    """A session cookie that browsers do not keep is found."""

    def change(path: str, result: Result) -> Result:
        cookies = result.get("cookies", [])
        result["cookies"] = [f"{cookie}; {attribute}" for cookie in cookies]
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"session-cookie"}
    assert words in findings.words("session-cookie")
