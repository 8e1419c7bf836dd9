"""A team's repository and a later version of ours, merged by scripts/upgrade and by git alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.yours import FOLDERS, TEMPLATE, parts, with_parts
from tests.own_packages import with_packages
from tests.scripts.blank.project import Project

PARTS = (
    *("functions", "socket_host", "infra", "tests/kit", "tests/small_app", "tests/infra"),
    *("tests/__init__.py", "tests/conftest.py", "tests/long_form.py", "tests/line.py"),
    *("pyproject.toml", "requirements.txt", "README.md", "CHANGELOG.md"),
)

# A team's files, each in one of its folders.
TEAM = {
    "functions/pages/bids.py": '''
from starlette.requests import Request
from starlette.responses import Response

from functions.web.site import Site


async def bids(request: Request) -> Response:
    """Show the bids."""
    return Site.of(request).page(request, "bids.html")
''',
    "functions/pages/templates/bids.html": """
{% extends "base.html" %}
{% block main %}Bids{% endblock %}
""",
    "functions/model/bids.py": '''
class Bids:
    """Keeps bids."""

    def __init__(self, where: str) -> None:
        self.where = where
''',
    "functions/model/settings.py": '''
"""Your settings."""

from functions.contract.setting import Setting

settings = [Setting("BIDS", "where bids are kept", development="{data}/bids")]
''',
    "socket_host/events/bids.py": '''
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from functions.model.bids import Bids as Store
from socket_host.namespace import Namespace


class Bids(Namespace):
    """Takes bids."""

    namespace = "/bids"

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.store = Store(self.settings.own["BIDS"])
        yield

    async def on_bid(self, sid: str, sum: Any) -> dict[str, Any]:
        await self.emit("bid", sum)
        return {"where": self.store.where}
''',
    "tests/app/test_bids.py": """
from tests.kit.pages import Visitor
from tests.kit.people import Host


def test_page(pages: Visitor) -> None:
    assert "Bids" in pages.get("/bids").text


async def test_bid(host: Host) -> None:
    ann, bob = [await host.connect(name, namespace="/bids") for name in ("Ann", "Bob")]
    assert (await ann.call("bid", 7))["where"].endswith("/bids")
    assert await bob.receive("bid") == 7
""",
}

PACKAGE = {
    "type": "module",
    "dependencies": {"socket.io-client": "4.8.4"},
    "devDependencies": {"axe-core": "4.14.1"},
}

IMPORT = "from functions.pages.bids import bids"
EVENTS = "from socket_host.events.bids import Bids"

TABLE = """\
  # The bids.
  BidsTable:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]"""

# A team's additions to its parts of the template, by name.
DECLARED = {
    "parameters": "  Closing: { Type: String, Default: noon }",
    "settings of pages": "          BIDS: !Sub dynamodb:${BidsTable}",
    "settings of the host": '            - { Name: BIDS, Value: !Sub "dynamodb:${BidsTable}" }',
    "secrets of the host": "            - { Name: KEY, ValueFrom: !Ref BidsKey }",
    "resources": TABLE,
    "outputs": "  BidsTable: { Value: !Ref BidsTable }",
}

# A team's changes: a piece of a file, and its replacement.
CHANGED = [
    ("functions/pages/__init__.py", "routes = [\n", 'routes = [\n    Route("/bids", bids),\n'),
    ("functions/pages/__init__.py", "from functions.web", f"{IMPORT}\nfrom functions.web"),
    ("socket_host/events/__init__.py", "from socket_host", f"{EVENTS}\nfrom socket_host"),
    ("socket_host/events/__init__.py", "namespaces = [Front]", "namespaces = [Front, Bids]"),
    ("pyproject.toml", "\napp = []", '\napp = ["babel>=2"]'),
    ("requirements.txt", "", "babel==2.17.0\n"),
]


class Upstream(Project):
    """Our repository."""

    def release(self) -> None:
        """Change the framework, next to a team's lines too."""
        lines = (self.root / TEMPLATE).read_text().splitlines()
        for number, line in reversed(list(enumerate(lines))):
            indent = line.partition("#")[0]
            if "# --- Yours: " in line:
                lines[number - 1] = f"{indent}# Written anew."
            if "# --- end of yours ---" in line:
                lines.insert(number + 1, f"{indent}# A line of ours.")
        (self.root / TEMPLATE).write_text("\n".join(lines) + "\n")
        self.replace("pyproject.toml", "# The packages of", "# Packages for")
        self.replace("README.md", "# Sidepath", "# Sidepath, later")
        for folder in ("functions", "socket_host", "scripts", "tests"):
            for file in sorted((self.root / folder).rglob("*.py")):
                path = str(file.relative_to(self.root))
                if not path.startswith((*FOLDERS, "scripts/commands/blank/app")):
                    file.write_text(file.read_text() + "# Later.\n")
        self.commit("A later state")

    def change_sample(self) -> None:
        """Change, add and remove files of the sample."""
        (self.root / "functions/pages/news.py").write_text("# New in the sample.\n")
        pages = sorted((self.root / "functions/pages").glob("*.py"))
        for file in pages:
            file.write_text(file.read_text() + "# Later.\n")
        (self.root / "socket_host/events/payloads.py").unlink(missing_ok=True)
        template = self.root / TEMPLATE
        marked = "  # --- Yours: resources ---\n"
        template.write_text(template.read_text().replace(marked, f"{marked}  # Of the sample.\n"))
        self.commit("The sample is another")

    def replace(self, path: str, old: str, new: str) -> None:
        """Replace a piece of a file; it must exist."""
        file = self.root / path
        assert old in file.read_text(), path
        file.write_text(file.read_text().replace(old, new, 1))


class Team(Upstream):
    """A team's repository, which started as a clone of ours."""

    def __init__(self, upstream: Upstream, root: Path) -> None:
        self.root = root
        upstream.git("clone", "--quiet", "--origin", "upstream", str(upstream.root), str(root))

    def build(self) -> None:
        """Remove the sample, and write an app."""
        status, output = self.blank("--yes")
        assert status == 0, output
        self.commit("Without the sample")
        for path, text in TEAM.items():
            (self.root / path).write_text(text.removeprefix("\n"))
        template = self.root / TEMPLATE
        own = {name: f"{text}\n" for name, text in DECLARED.items()}
        template.write_text(with_parts(template.read_text(), own))
        for path, old, new in CHANGED:
            self.replace(path, old, new)
        self.commit("Bids")

    def test(self) -> None:
        """Run the team's tests, and those that read its files."""
        (self.root / "functions/web/static/socket.io.esm.min.js").touch()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("tests/app", "tests/infra/test_names.py"),
            ],
            cwd=self.root,
            env={n: v for n, v in os.environ.items() if n not in ("STAGE", "SESSION_SECRET")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    upstream = Upstream(tmp_path / "upstream", *PARTS)
    pyproject = upstream.root / "pyproject.toml"
    pyproject.write_text(with_packages(pyproject.read_text(), []))
    save(upstream, "requirements.txt", "")
    save(upstream, "package.json", json.dumps(PACKAGE, indent=2))
    save(upstream, "package-lock.json", "{}")
    upstream.begin()
    return upstream


@pytest.fixture
def team(upstream: Upstream, tmp_path: Path) -> Team:
    team = Team(upstream, tmp_path / "team")
    team.build()
    return team


def later(team: Team) -> None:
    """A team that has merged our later version, and has kept its own files."""
    assert (team.root / "socket_host/app.py").read_text().endswith("# Later.\n")
    template = (team.root / TEMPLATE).read_text()
    assert template.count("# A line of ours.") == template.count("Written anew.") == 6
    for path, text in TEAM.items():
        assert (team.root / path).read_text() == text.removeprefix("\n")
    assert parts(template) == {name: f"{text}\n" for name, text in DECLARED.items()}
    for path, _, new in CHANGED:
        assert new in (team.root / path).read_text()
    assert team.git("status", "--porcelain") == ""


def test_git_merges(team: Team, upstream: Upstream) -> None:
    """Framework changes next to a team's lines merge by git, and the team's tests pass."""
    upstream.release()
    team.git("fetch", "--quiet", "upstream")
    team.git("merge", "--quiet", "--message", "Upgrade", "upstream/main")
    later(team)
    team.test()


def test_upgrade_after_upgrade(team: Team, upstream: Upstream) -> None:
    """The sample may change too, repeatedly: a team gets none of its changes."""
    upstream.release()
    for _ in range(2):
        upstream.change_sample()
        before = team.yours()
        team.git("fetch", "--quiet", "upstream")
        status, output = team.upgrade()
        assert status == 0, output
        later(team)
        assert team.yours() == before
        assert "# Of the sample." not in (team.root / TEMPLATE).read_text()
    team.test()


def test_packages_beside_ours(team: Team, upstream: Upstream) -> None:
    """A team's npm packages, and versions that it has pinned, do not conflict with our new ones."""
    own = {"axe-core": "4.14.1", "esbuild": "^0.28.2"}
    build = {"scripts": {"build": "esbuild"}}
    save(team, "package.json", json.dumps(PACKAGE | {"devDependencies": own} | build, indent=2))
    theirs = {"type": "commonjs", "devDependencies": {"axe-core": "9.9.9"}}
    save(upstream, "package.json", json.dumps(PACKAGE | theirs, indent=2))
    for project, text in ((team, "a team's"), (upstream, "ours")):
        save(project, "package-lock.json", text)
        save(project, "functions/requirements.txt", text)
        project.commit("Packages")
    team.git("fetch", "--quiet", "upstream")
    status, output = team.upgrade()
    assert status == 0, output
    assert team.git("status", "--porcelain") == ""
    both = {"type": "commonjs", "devDependencies": own | {"axe-core": "9.9.9"}}
    assert json.loads((team.root / "package.json").read_text()) == PACKAGE | both | build
    assert (team.root / "package-lock.json").read_text() == "a team's"
    assert (team.root / "functions/requirements.txt").read_text() == "ours"


def test_same_package_in_two_versions(team: Team, upstream: Upstream) -> None:
    """If both sides want another version of a package, somebody has to decide."""
    for project, version in ((team, "1.1.1"), (upstream, "2.2.2")):
        project.replace("package.json", '"socket.io-client": "', f'"socket.io-client": "{version}-')
        project.commit("Another version")
    team.git("fetch", "--quiet", "upstream")
    status, output = team.upgrade()
    assert status == 1
    assert "git merge --abort" in output
    assert "UU package.json" in team.git("status", "--porcelain")


def save(project: Project, path: str, text: str) -> None:
    """Write a file of a project."""
    (project.root / path).write_text(text)


def test_conflict_in_ours_is_left_to_git(team: Team, upstream: Upstream) -> None:
    """If a team has changed the framework, a message says to resolve conflicts with git."""
    team.replace("README.md", "# Sidepath", "# Bids")
    team.commit("README")
    upstream.release()
    team.git("fetch", "--quiet", "upstream")
    status, output = team.upgrade()
    assert status == 1
    assert "README.md" in output
    assert "git merge --abort" in output
    assert "UU README.md" in team.git("status", "--porcelain")


def test_uncommitted_changes_come_first(team: Team) -> None:
    """Uncommitted changes must be committed first."""
    (team.root / "functions/pages/new.py").touch()
    status, output = team.upgrade()
    assert status == 1
    assert "  functions/pages/new.py" in output


def test_unknown_commit(team: Team) -> None:
    """An unknown commit has to be fetched first; the message does not mention conflicts."""
    status, output = team.upgrade("upstream/nowhere")
    assert status == 1
    assert output == (
        "git has no commit upstream/nowhere. Fetch it first: git remote add upstream URL, once, "
        "and then git fetch upstream.\n"
    )


def test_outside_of_git(upstream: Upstream) -> None:
    """Outside a git repository, git's own message is shown."""
    shutil.rmtree(upstream.root / ".git")
    status, output = upstream.upgrade()
    assert status == 1
    assert "not a git repository" in output
    assert "conflicts" not in output
