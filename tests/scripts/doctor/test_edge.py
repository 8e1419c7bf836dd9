"""Doctor reports faults of an edge: exactly the affected checks fail."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.commands.dev.template import SOCKET_HOST, Template
from scripts.commands.doctor.checks import FILES, PAGES, REDIRECTS
from scripts.commands.doctor.finding import OK, SKIPPED
from tests.scripts.dev.edges import TEMPLATE
from tests.scripts.doctor.findings import examined
from tests.scripts.doctor.sites import behaving, site, without

CORS_ONLY = "59781a5b-3903-41f3-afcb-af62929ccde1"  # forwards neither cookies nor queries


NO_ENCODING = "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"  # CachingOptimizedForUncompressedObjects


async def test_no_post(tmp_path: Path) -> None:
    """A behaviour without POST is named, with the methods that it should list."""
    async with site(tmp_path, template=behaving("/socket.io/*", AllowedMethods=None)) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"post"}
    words = findings.words("post")
    assert "POST /socket.io/ answered 403" in words
    assert "List POST in AllowedMethods of the behaviour /socket.io/* in infra/template" in words
    assert {"by-polling", "by-upgrade"} <= findings.with_outcome(SKIPPED)


async def test_no_cookies(tmp_path: Path) -> None:
    """A policy that does not forward cookies is distinguished from different secrets."""
    template = Template.parse(TEMPLATE)
    behaviours = tuple(
        replace(b, policy=replace(b.policy, cookies=False)) if b.origin == SOCKET_HOST else b
        for b in template.behaviours
    )
    async with site(tmp_path, template=replace(template, behaviours=behaviours)) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"session"}
    assert "The page's cookie does not reach the host" in findings.words("session")
    assert "OriginRequestPolicyId is AllViewer." in findings.words("session")


async def test_no_query(tmp_path: Path) -> None:
    """A policy that forwards neither queries nor cookies to the host is recognized."""
    template = behaving("/socket.io/*", OriginRequestPolicyId=CORS_ONLY)
    async with site(tmp_path, template=template) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"socket"}
    assert "the host does not get the request" in findings.words("socket")
    assert "must forward queries, cookies" in findings.words("socket")


@pytest.mark.parametrize(
    ("missing", "failed"),
    [
        (("/socket.io", "/socket.io/*"), {"socket", "socket-no-slash"}),
        (("/socket.io",), {"socket-no-slash"}),
    ],
)
async def test_no_behaviour(tmp_path: Path, missing: tuple[str, ...], failed: set[str]) -> None:
    """A socket path that the function answers lacks a behaviour, which is named."""
    async with site(tmp_path, template=without(*missing)) as edge:
        findings = await examined(edge.url)
    assert findings.failed == failed
    words = findings.words("socket-no-slash")
    assert "/socket.io answered 421" in words
    assert "infra/template.yaml lacks the behaviour /socket.io," in words


async def test_pages_get_no_query(tmp_path: Path) -> None:
    """Pages that get no queries or cookies are found by the effects."""
    template = behaving("*", OriginRequestPolicyId=CORS_ONLY)
    async with site(tmp_path, template=template) as edge:
        findings = await examined(edge.url, PAGES, REDIRECTS)
    assert findings.failed == {"compressed", "session-kept", "trailing-slash"}
    assert "AllViewerExceptHostHeader" in findings.words("session-kept")
    assert "AllViewerExceptHostHeader" in findings.words("trailing-slash")


async def test_files_not_compressed(tmp_path: Path) -> None:
    """An edge that does not forward Accept-Encoding is found by the size of a visit."""
    async with site(tmp_path, template=behaving("/static/*", CachePolicyId=NO_ENCODING)) as edge:
        findings = await examined(edge.url, PAGES, FILES)
    assert findings.failed == {"files-compressed"}


async def test_no_forms(tmp_path: Path) -> None:
    """A default behaviour without POST is named."""
    async with site(tmp_path, template=behaving("*", AllowedMethods=["GET", "HEAD"])) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"post-kept"}
    assert "DefaultCacheBehavior" in findings.words("post-kept")


async def test_no_websockets(tmp_path: Path) -> None:
    """If websockets do not work, polling is still checked."""
    async with site(tmp_path, websockets=False) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"websocket"}
    assert "by-polling" in findings.with_outcome(OK)
