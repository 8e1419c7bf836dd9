"""The lists of packages: the requirements of pyproject.toml and their dependencies, with hashes."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import ROOT, packages
from scripts.commands.pin import base, lists, npm
from scripts.commands.pin.__main__ import UNREACHABLE
from scripts.commands.pin.base import Base, BaseError
from scripts.commands.pin.lists import ALONE, TOGETHER, ListsError, RegistryError
from scripts.packages import PackagesError, install_into
from tests.own_packages import with_packages
from tests.scripts.deploy.engine import DIGEST, install

pytestmark = pytest.mark.together("packages")

GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
LOCKS = [ROOT / folder / "package-lock.json" for folder in npm.FOLDERS]

# An entry of a list: a requirement, and its hashes.
ENTRY = re.compile(r"^(\S.*?) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def entries(path: str, root: Path = ROOT) -> list[Requirement]:
    """The entries of a list, which has only comments and requirements with hashes."""
    text = re.sub(r"^ *#.*\n", "", (root / path).read_text(), flags=re.MULTILINE)
    assert not ENTRY.sub("", text)
    return [Requirement(found[1]) for found in ENTRY.finditer(text)]


def here(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a requirement applies to this Python, with some of the requiring package's extras."""
    marker = requirement.marker
    environments = [dict(default_environment()) | {"extra": extra} for extra in extras or {""}]
    return not marker or any(marker.evaluate(environment) for environment in environments)


@pytest.mark.parametrize("path", [*TOGETHER, *ALONE])
def test_all_have_a_version_and_hashes(path: str) -> None:
    """Every package in every list has one version, and its files' hashes."""
    assert entries(path) or path == "requirements.txt"
    for entry in entries(path):
        assert re.fullmatch(r"==[^*,]+", str(entry.specifier)), entry


@pytest.mark.parametrize(("path", "group"), (TOGETHER | ALONE).items())
def test_list_has_what_its_group_asks_for(path: str, group: str) -> None:
    """A list has the packages of its group, in versions that meet the requirements."""
    found = {entry.name: entry.specifier for entry in entries(path)}
    for asked in map(Requirement, GROUPS[group]):
        (pin,) = found[canonicalize_name(asked.name)]
        assert asked.specifier.contains(pin.version), asked


@pytest.mark.parametrize(("path", "group"), TOGETHER.items())
def test_list_has_what_its_packages_need(path: str, group: str) -> None:
    """A list is complete: it has the dependencies of the installed packages."""
    found = {entry.name: entry.extras for entry in entries(path) if here(entry, set())}
    waiting = [asked for asked in map(Requirement, GROUPS[group]) if here(asked, set())]
    seen = set()
    while waiting:
        asked = waiting.pop()
        assert asked.extras <= found[canonicalize_name(asked.name)], asked
        if str(asked) not in seen:
            seen.add(str(asked))
            needed = map(Requirement, requires(asked.name) or [])
            waiting += [requirement for requirement in needed if here(requirement, asked.extras)]


def test_one_version_in_both_halves() -> None:
    """A package has the same version in several lists, except in those of tools."""
    versions: dict[str, str] = {}
    for path in TOGETHER:
        for entry in entries(path):
            assert versions.setdefault(entry.name, str(entry.specifier)) == str(entry.specifier)


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_npm_has_an_integrity_for_everything(lock: Path) -> None:
    """Every package in npm's lock has a hash."""
    found = json.loads(lock.read_text())["packages"]
    del found[""]  # the project
    assert found
    for name, package in found.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package


@pytest.mark.parametrize("path", [*TOGETHER, *ALONE])
def test_lists_name_no_registry(path: str) -> None:
    """A list has no address of a registry, so it works with any."""
    assert "://" not in (ROOT / path).read_text()


def test_lists_are_up_to_date() -> None:
    """`scripts/pin` would not change the lists, except for hashes of new files."""
    checked = subprocess.run(["scripts/pin", "--check"], cwd=ROOT, capture_output=True, text=True)
    if checked.returncode == UNREACHABLE:
        pytest.skip(checked.stderr.strip().splitlines()[-1])
    assert checked.returncode == 0, checked.stderr


# ---- Installing ----


def without_uv(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(packages.importlib.util, "find_spec", lambda name: None)


@pytest.fixture(params=["uv", "pip"])
def installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "pip":
        without_uv(monkeypatch)


def forge(text: str) -> str:
    return re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", text)


def forget(text: str) -> str:
    return re.sub(r" \\\n +--hash.*", "", text)


@pytest.mark.parametrize(
    ("change", "installed"),
    [(str, True), (forge, False), (forget, False)],
    ids=["ours", "forged", "forgotten"],
)
@pytest.mark.usefixtures("installer")
def test_only_files_with_the_hash_are_installed(
    change: Callable[[str], str], installed: bool, tmp_path: Path
) -> None:
    """A package whose file has a wrong hash, or none in the list, is not installed."""
    text = (ROOT / "functions/requirements.txt").read_text()
    (found,) = [entry[0] for entry in ENTRY.finditer(text) if entry[1].startswith("itsdangerous=")]
    (tmp_path / "list.txt").write_text(change(found))
    folder = tmp_path / "folder"
    try:
        install_into(str(folder), [str(tmp_path / "list.txt")])
    except PackagesError:
        assert not installed
    assert (folder / "itsdangerous").exists() == installed


# ---- A team's own packages ----


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the lists."""
    for path in ("pyproject.toml", *TOGETHER, *ALONE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def resolved(project: Path, *own: str) -> dict[str, str]:
    """The lists of a project with its own packages."""
    file = project / "pyproject.toml"
    file.write_text(with_packages(file.read_text(), own))
    try:
        return lists.resolve(project)
    except RegistryError:
        pytest.skip("no registry can be asked, so nothing was resolved")


def test_own_packages_have_a_list_of_their_own(project: Path) -> None:
    """A team's packages and their dependencies go into the team's list only."""
    changes = lists.changes(project, found := resolved(project, "pydantic>=2"))
    assert all(change.startswith("requirements.txt: ") for change in changes)
    lists.write(project, found)
    assert {"pydantic", "pydantic-core"} <= {e.name for e in entries("requirements.txt", project)}


def test_own_packages_go_with_ours(project: Path) -> None:
    """If a team's package needs an older version of one of ours, all lists have that."""
    found = resolved(project, "anyio<4.16")
    (version,) = {lists.pins(text)["anyio"] for text in found.values() if "\nanyio==" in text} - {
        lists.pins(found[path]).get("anyio") for path in ALONE
    }
    assert version != "4.16.0"
    assert lists.pins(found["functions/requirements.txt"])["anyio"] == version


def test_own_packages_that_do_not_go_with_ours(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """If there are no compatible versions, uv names the conflict, and nothing is written."""
    with pytest.raises(ListsError):
        resolved(project, "python-socketio<5")
    assert "python-socketio" in capfd.readouterr().err


def test_no_registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable registry is distinguished from incompatible packages."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(RegistryError):
        lists.resolve(project)


# ---- The base image ----


@pytest.fixture
def dockerfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's Dockerfile, and a PATH with only what a test adds."""
    file = tmp_path / "socket_host/Dockerfile"
    file.parent.mkdir()
    shutil.copy(ROOT / "socket_host/Dockerfile", file)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return file


def test_base_is_pinned(dockerfile: Path, tmp_path: Path) -> None:
    """The digest found by an engine is added after the tag, and replaced later."""
    install(tmp_path / "bin")
    before = dockerfile.read_text()
    for _ in range(2):
        Base.read(tmp_path).renewed().write(tmp_path)
        tag = Base.read(ROOT).tag
        assert Base.read(tmp_path) == Base(tag, DIGEST)
        assert f"\nARG BASE={tag}@{DIGEST}\n" in dockerfile.read_text()
    assert dockerfile.read_text().replace(f"@{DIGEST}", "") == before.replace(
        str(Base.read(ROOT)), tag
    )


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("echo no such image >&2; exit 1", "docker: no such image"),
        ("echo something else", "docker: something else"),
        ("exit 1", "docker: no reason given"),
        ("exec sleep 60", "docker: no answer within 1 s"),
    ],
)
def test_base_that_cannot_be_looked_up(
    program: str, reason: str, dockerfile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no digest can be looked up, each program's message is shown."""
    monkeypatch.setattr(base, "_PATIENCE", 1)
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin/docker"
    file.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{program}\n")
    file.chmod(0o755)
    with pytest.raises(BaseError, match=rf"looked up \({reason}\)\. That needs skopeo"):
        Base.read(tmp_path).renewed()


def test_base_by_skopeo(dockerfile: Path, tmp_path: Path) -> None:
    """Without Docker, skopeo finds the digest."""
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin/skopeo"
    file.write_text(
        f'#!/bin/sh\n[ "$1 $4" = "inspect docker://{Base.read(ROOT).tag}" ] && echo {DIGEST}'
    )
    file.chmod(0o755)
    assert Base.read(tmp_path).renewed().digest == DIGEST


# ---- scripts/pin ----


def test_pin_says_what_is_wrong(project: Path) -> None:
    """If there are no compatible versions, scripts/pin says so and changes no list."""
    shutil.copytree(ROOT / "scripts", project / "scripts", dirs_exist_ok=True)
    (project / ".venv").symlink_to(ROOT / ".venv")
    file = project / "pyproject.toml"
    file.write_text(with_packages(file.read_text(), ["python-socketio<5"]))
    assert pinned(project) == (
        1,
        "No compatible versions were found; see uv's message above. Correct pyproject.toml.",
    )


@pytest.mark.parametrize("mistake", ['app = ["x>>6"]', "app = [x]", "app = 7", ""])
def test_pin_reads_no_mistake(mistake: str, project: Path) -> None:
    """A mistake in pyproject.toml is not taken for an unreachable registry."""
    shutil.copytree(ROOT / "scripts", project / "scripts", dirs_exist_ok=True)
    (project / ".venv").symlink_to(ROOT / ".venv")
    file = project / "pyproject.toml"
    file.write_text(with_packages(file.read_text(), []).replace("app = []", mistake))
    assert pinned(project) == (
        1,
        "pyproject.toml has a mistake; see uv's message above. Nothing was changed.",
    )


def pinned(project: Path) -> tuple[int, str]:
    """Run scripts/pin, which must change no list; return its status and its last line."""
    before = [(project / path).read_text() for path in TOGETHER]
    command = [sys.executable, "-m", "scripts.commands.pin"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    output = done.stderr.strip().splitlines()[-1]
    if output.startswith("No registry"):
        pytest.skip(output)
    assert [(project / path).read_text() for path in TOGETHER] == before
    return done.returncode, output
