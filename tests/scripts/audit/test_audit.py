"""`scripts/audit` with the real pip-audit and npm, and the tests' own advisory databases."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from scripts import ROOT
from scripts.commands.audit import findings
from scripts.commands.audit.findings import audit
from scripts.commands.pin import npm
from scripts.commands.pin.lists import ALONE, TOGETHER

pytestmark = pytest.mark.together("packages")

NOWHERE = "http://127.0.0.1:1"  # no server listens here

LISTS = [["requirements.txt", "functions/requirements.txt"], ["scripts/tools/uv.txt"]]

STARLETTE = {
    "id": "GHSA-xxxx-test-0001",
    "aliases": ["CVE-2000-0001"],
    "summary": "A test.",
    "details": "A test.",
    "published": "2026-01-01T00:00:00Z",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "starlette", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0.0"}]}],
        }
    ],
}
CLIENT = {
    "id": 1,
    "url": "https://github.com/advisories/GHSA-xxxx-test-0002",
    "title": "A test.",
    "severity": "high",
    "vulnerable_versions": "<99",
    "cwe": [],
    "cvss": {"score": 0, "vectorString": None},
}


class Databases(BaseHTTPRequestHandler):
    """OSV's and npm's, each with one advisory for packages with certain names."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer: dict[str, Any] = {}
        if self.path.startswith("/-/npm"):
            answer = {"socket.io-client": [CLIENT]}
        elif json.loads(body)["package"]["name"] == "starlette":
            answer = {"vulns": [STARLETTE]}
        self.answer(answer)

    def do_GET(self) -> None:
        """npm's request for the versions."""
        name, versions = self.path[1:], ("4.8.4", "99.0.0")
        known = {version: {"name": name, "version": version} for version in versions}
        self.answer({"name": name, "versions": known, "dist-tags": {"latest": versions[-1]}})

    def answer(self, answer: dict[str, Any]) -> None:
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def databases() -> Iterator[str]:
    """The address of both."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Databases) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def pip_audit() -> Path:
    subprocess.run([ROOT / "scripts/pip-audit"], check=True)  # waits if it is still being installed
    return ROOT / ".venv-pip-audit"


@pytest.fixture
def project(tmp_path: Path, pip_audit: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the locks, from which only the databases of a test can be reached."""
    for path in ("pyproject.toml", *TOGETHER, *ALONE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for folder in npm.FOLDERS:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / folder / name, tmp_path / folder / name)
    (tmp_path / ".venv-pip-audit").symlink_to(pip_audit)
    monkeypatch.setattr(findings, "ROOT", tmp_path)
    # Only some, because each needs a program run.
    monkeypatch.setattr(findings, "_LISTS", LISTS)
    monkeypatch.setattr(findings, "FOLDERS", ["."])
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", NOWHERE)
    monkeypatch.setenv("npm_config_registry", NOWHERE)
    return tmp_path


def test_advisories_are_listed(
    project: Path, databases: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An advisory on a pinned package is listed, with its lock and the fixed version."""
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", databases)
    monkeypatch.setenv("npm_config_registry", databases)
    lines, well = audit()
    assert not well
    (python,) = [line for line in lines if "starlette" in line]
    assert python.startswith("functions/requirements.txt: starlette ")
    assert python.endswith(": CVE-2000-0001. It is fixed in 99.0.0.")
    (client, *_) = [line for line in lines if "socket.io-client" in line]
    assert client.startswith("package-lock.json: socket.io-client <99: GHSA-xxxx-test-0002.")
    assert "See docs/packages.md for what to do." in lines[-1]
    assert "Not checked" not in lines[-1]


def test_accepted_advisories(
    project: Path, databases: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An advisory accepted in pyproject.toml, by any name, is counted but is not a failure."""
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", databases)
    monkeypatch.setenv("npm_config_registry", databases)
    file = project / "pyproject.toml"
    known = '["GHSA-xxxx-test-0001", "GHSA-xxxx-test-0002"]'
    text = file.read_text().replace("accepted-advisories = []", f"accepted-advisories = {known}")
    file.write_text(text)
    lines, well = audit()
    assert well
    assert lines == ["0 advisories on pinned packages, and 2 that are accepted."]


def test_unchecked_locks_are_listed(
    project: Path, databases: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only one database can be reached, the unchecked locks are listed."""
    monkeypatch.setenv("npm_config_registry", databases)
    lines, well = audit()
    assert not well
    unchecked = lines[-1].partition("Not checked, because no database was reached: ")[2]
    assert unchecked == "requirements.txt, functions/requirements.txt; scripts/tools/uv.txt."


def test_every_lock_is_audited() -> None:
    """All lists that are installed, and all of npm's locks, are compared."""
    assert {path for lists in findings._LISTS for path in lists} == {*TOGETHER, *ALONE}
    tracked = subprocess.run(
        ["git", "ls-files", "*requirements*.txt", "scripts/tools/*", "*package-lock.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    locks = {(Path(folder) / "package-lock.json").as_posix() for folder in npm.FOLDERS}
    assert {*tracked} <= {*TOGETHER, *ALONE} | locks


def test_nothing_can_be_checked(project: Path) -> None:
    """If no database can be reached, that is reported, and is not a failure."""
    assert audit() == (["No advisory database could be reached; nothing was checked."], True)
