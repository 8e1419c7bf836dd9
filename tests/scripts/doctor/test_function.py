"""Doctor reports faults of the function: exactly the affected checks fail."""

import os
from pathlib import Path

import pytest

from functions.app import create_app
from functions.web.settings import Settings
from scripts.commands.doctor.checks import FILES, PAGES, REDIRECTS
from tests.scripts.doctor.findings import examined
from tests.scripts.doctor.sites import Result, drop, site
from tests.small_app import site as small
from tests.small_app.model.settings import settings as declared

SETTINGS = Settings.from_environ(os.environ, declared)


async def test_function_down(tmp_path: Path) -> None:
    """Failing pages are one failure, and their text cannot control or flood the terminal."""

    def change(path: str, result: Result) -> Result:
        body = "\x1b[2J\n<b>bad</b> " + "x" * 10_000
        return {"statusCode": 500, "headers": {"content-type": "text/html"}, "body": body}

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"page"}
    words = findings.words("page")
    assert 'GET / answered 500: " [2J bad xxx' in words
    assert words.isprintable()
    assert len(words) < 500


async def test_redirect_loop(tmp_path: Path) -> None:
    """Two rules that undo each other's redirect are shown as a loop."""

    def change(path: str, result: Result) -> Result:
        back = {"statusCode": 308, "headers": {"location": "/about/"}}
        return back if path == "/about" else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"one-redirect"}
    assert "redirect loop: /about to /about/ to /about" in findings.words("one-redirect")


@pytest.mark.parametrize("keep", [["/about/"], ["/"]])
async def test_prefix_that_keeps_its_slash(
    keep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that keep their slash pass if that is declared, and fail otherwise."""
    monkeypatch.setattr(small.pages, "keep_slash", keep, raising=False)
    monkeypatch.setattr(small.handler, "app", create_app(SETTINGS, small.pages))
    async with site(tmp_path) as edge:
        assert (await examined(edge.url, REDIRECTS)).failed == {"trailing-slash", "post-kept"}
        monkeypatch.setattr("functions.pages.keep_slash", keep, raising=False)
        findings = await examined(edge.url, REDIRECTS)
    assert not findings.failed
    assert "/about is a 308 to /about/, with the same query" in findings.words("trailing-slash")


async def test_redirect_to_the_functions_host(tmp_path: Path) -> None:
    """A redirect with the API's own host name, as frameworks send it, is found."""

    def change(path: str, result: Result) -> Result:
        if location := result["headers"].get("location"):
            result["headers"]["location"] = f"https://pages.invalid{location}"
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"trailing-slash", "stays-here"}
    assert "which is more than a path" in findings.words("trailing-slash")


async def test_two_redirects(tmp_path: Path) -> None:
    """Slashes removed one at a time are found; a page that redirects elsewhere passes."""

    def change(path: str, result: Result) -> Result:
        if path == "/about":
            return {"statusCode": 303, "headers": {"location": "/"}}
        if path == "/about//":
            result["headers"]["location"] = "/about/"
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"one-redirect"}
    assert "takes 3 redirects: /about// to /about/ to /about to /" in findings.words("one-redirect")


@pytest.mark.parametrize("status", [200, 302])
async def test_trailing_slash_ignored(tmp_path: Path, status: int) -> None:
    """A missing redirect, or one that turns a POST into a GET, is found."""

    def change(path: str, result: Result) -> Result:
        return result | {"statusCode": status} if result["statusCode"] == 308 else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"trailing-slash", "post-kept"}


async def test_missing_page_with_status_200(tmp_path: Path) -> None:
    """An error page with status 200 is found."""

    def change(path: str, result: Result) -> Result:
        return result | {"statusCode": 200} if result["statusCode"] == 404 else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"not-found"}


async def test_static_files_with_cookies(tmp_path: Path) -> None:
    """A static file that sets a cookie, which caches would share, is found."""

    def change(path: str, result: Result) -> Result:
        return result | {"cookies": ["a=1"]} if path.startswith("/static/") else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES, FILES)
    assert findings.failed == {"files-cookieless"}


@pytest.mark.parametrize("location", ["//evil.example", "/\\evil.example", "/\t/evil.example"])
async def test_open_redirect(tmp_path: Path, location: str) -> None:
    """A Location that browsers take for another site is found, in any spelling."""

    def change(path: str, result: Result) -> Result:
        if "evil.example" in path:
            result["headers"]["location"] = location
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"stays-here"}


async def test_static_files_not_cached(tmp_path: Path) -> None:
    """Static files without cache headers are reported."""
    change = drop("cache-control", below="/static/")
    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"files-kept"}
    assert "has Cache-Control: (nothing), not immutable" in findings.words("files-kept")


async def test_no_security_headers(tmp_path: Path) -> None:
    """Pages without security headers are found, each with its risk."""
    change = drop("content-security-policy", "x-content-type-options")
    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"csp", "nosniff"}
    assert "/ has no Content-Security-Policy" in findings.words("csp")
    assert "functions/web/headers.py" in findings.words("nosniff")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("default-src 'self'; frame-ancestors 'none'", "inline script that its own policy forbids"),
        ("script-src 'self' 'unsafe-inline'; frame-ancestors 'none'", "from 'unsafe-inline'"),
        ("default-src 'none'", "may be framed by any site"),
    ],
)
async def test_another_policy(tmp_path: Path, policy: str, words: str) -> None:
    """A policy that blocks the page's own script, or that is too loose, is found."""

    def change(path: str, result: Result) -> Result:
        result["headers"]["content-security-policy"] = policy
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"csp"}
    assert words in findings.words("csp")


async def test_pages_cached(tmp_path: Path) -> None:
    """Pages from a cache, which give all visitors one session, are found."""
    cache: dict[str, Result] = {}

    def change(path: str, result: Result) -> Result:
        return cache.setdefault(path, result)

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert {"not-cached"} <= findings.failed
    assert "got the same session" in findings.words("not-cached")


async def test_cookie_that_scripts_can_read(tmp_path: Path) -> None:
    """A session cookie without one of its flags is found, and the flag is named."""

    def change(path: str, result: Result) -> Result:
        cookies = result.get("cookies", [])
        result["cookies"] = [cookie.replace("; HttpOnly", "") for cookie in cookies]
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"session-cookie"}
    assert "is not HttpOnly." in findings.words("session-cookie")
