"""Each half imports only what it carries, and starts with nothing of the other beside it."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.commands.pin.lists import pins
from tests import line
from tests.kit.hosts import own_texts

ROOT = Path(__file__).parent.parent

# The packages whose import name is not their name on the index.
NAMES = {"socketio": "python-socketio", "engineio": "python-engineio"}

# What Lambda's Python brings along.
# What both halves carry.
SHARED = ("functions.contract", "functions.model")

IN_LAMBDA = {"functions": {"boto3", "botocore"}, "socket_host": set()}


def imports(file: Path) -> set[str]:
    """Every module a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports by dots; use the full name"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def required(half: str) -> set[str]:
    lists = (ROOT / half / "requirements.txt", ROOT / "requirements.txt")
    return {name for file in lists for name in pins(file.read_text())}


@pytest.mark.parametrize("file", files("functions"), ids=str)
def test_functions_import_only_functions(file: Path) -> None:
    """The zip holds functions/ and nothing else, so nothing else can be imported from it."""
    own = {name for name in imports(file) if name.split(".")[0] in ("socket_host", "scripts")}
    assert not own


@pytest.mark.parametrize("file", files("functions/contract"), ids=str)
def test_contract_imports_only_contract(file: Path) -> None:
    """The contract knows neither half."""
    own = {name for name in imports(file) if name.split(".")[0] == "functions"}
    assert all(name.startswith("functions.contract") for name in own)


@pytest.mark.parametrize("file", files("socket_host"), ids=str)
def test_host_imports_only_what_both_carry(file: Path) -> None:
    """The image holds socket_host/, functions/contract/ and functions/model/."""
    own = {name for name in imports(file) if name.split(".")[0] in ("functions", "scripts")}
    assert all(name.startswith(SHARED) for name in own)


# Pairs of modules that import each other: a session and what keeps all sessions.
CIRCLES = [{"socket_host.transport.native.client", "socket_host.transport.native.engine"}]


def module(file: Path) -> str:
    """A file's name as imports write it."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def circles(*folders: str) -> list[set[str]]:
    """Sets of modules in folders that import each other, directly or by way of others."""
    found = {module(file): imports(file) for file in files(*folders)}
    graph = {name: names & found.keys() - {name} for name, names in found.items()}
    for name, file in ((module(file), file) for file in files(*folders)):
        # `from package import module` needs the module, not what its package has besides.
        graph[name] -= {
            str(node.module)
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ImportFrom)
            and all(f"{node.module}.{alias.name}" in found for alias in node.names)
        }
    reach = {name: _reached(graph, name) for name in graph}
    together = [{name} | {one for one in reach[name] if name in reach[one]} for name in graph]
    return [
        circle
        for at, circle in enumerate(together)
        if len(circle) > 1 and circle not in together[:at]
    ]


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


def test_imports_go_one_way() -> None:
    """Modules of the host do not need each other in a circle, not even for their types."""
    assert circles("socket_host") == CIRCLES


@pytest.mark.parametrize("half", ["functions", "socket_host"])
def test_packages_are_pinned(half: str) -> None:
    """Every package a half imports stands in its own list or the team's, or comes with Lambda."""
    folders = [half] if half == "functions" else [half, "functions/contract", "functions/model"]
    names = {name.split(".")[0] for file in files(*folders) for name in imports(file)}
    names -= {*sys.stdlib_module_names, "functions", "socket_host"}
    assert {NAMES.get(name, name) for name in names} <= required(half) | IN_LAMBDA[half]


def copy(part: str, to: Path) -> None:
    shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("__pycache__"))


def run(code: str, cwd: Path) -> str:
    """Run code where only what lies in a folder can be imported, beside the packages."""
    environ = {
        "STAGE": "development",
        "SESSION_SECRET": "sample-secret-for-development-only",
        **own_texts(cwd),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_function_starts_alone(tmp_path: Path) -> None:
    """The function needs nothing beside its folder, and loads nothing a page does not use."""
    copy("functions", tmp_path)
    loaded = run("import sys, functions.app; print(*sys.modules, sep='\\n')", tmp_path).split()
    assert "starlette" in loaded
    assert not {"socketio", "aiohttp", "boto3", "botocore"} & set(loaded)


def test_host_starts_alone(tmp_path: Path) -> None:
    """The host needs nothing but its folder, the contract and the model."""
    copy("socket_host", tmp_path)
    copy("functions/contract", tmp_path)
    copy("functions/model", tmp_path)
    loaded = run("import sys, socket_host.app; print(*sys.modules, sep='\\n')", tmp_path).split()
    assert "socketio" in loaded
    assert not {"starlette", "mangum", "jinja2"} & set(loaded)


def test_missing_setting_stops_the_function(tmp_path: Path) -> None:
    """A function without its settings ends with a sentence that names them."""
    done = subprocess.run(
        [sys.executable, "-c", "import functions.app"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "SESSION_SECRET must have" in done.stderr.splitlines()[-1]


# What of ours still knows something of yours, by the file's name, and why. It is to become empty.
STILL_KNOWS = {
    "infra/local.json": "sam local's settings: could be made from the declared ones",
    "infra/template.yaml": "the environment of the halves names a setting of yours",
    "scripts/commands/bench/function.py": "the bench measures the room's page",
    "scripts/commands/doctor/conversation.py": "doctor talks to the chat, where a site has it",
    "tests/chaos/light.py": "chaos: a page in Python that speaks the chat's events",
    "tests/chaos/page.mjs": "chaos runs the room page's scripts",
    "tests/chaos/site.py": "chaos compares the room log with what pages show",
    "tests/chaos/test_storms.py": "chaos, as above",
    "tests/chaos/test_volume.py": "chaos, as above",
    "tests/fuzz/test_bus.py": "fuzz: presence in the first room",
    "tests/hostile/crowd.py": "hostile: people who talk in a room",
    "tests/hostile/people.py": "hostile: they are in the first room",
    "tests/hostile/test_amplification.py": "hostile: large answers of history",
    "tests/hostile/test_fan_out.py": "hostile: typing and long texts",
    "tests/hostile/test_log.py": "hostile: a chat that fails",
    "tests/hostile/test_recovery.py": "hostile: rooms like the chat's",
    "tests/hostile/test_sessions.py": "hostile: caches of the room's page; belongs to tests/app",
    "tests/infra/test_stack.py": "the roles allow what the chat's table needs",
    "tests/infra/test_template.py": "the function's environment",
    "tests/scripts/deploy/test_container.py": "the container's environment, and one event",
    "tests/scripts/deploy/test_dockerfile.py": "the image's environment",
    "tests/scripts/dev/project.py": "leaves a setting of yours out of the environment",
    "tests/scripts/dev/test_dev.py": "saves the sample's pages and events",
    "tests/scripts/dev/test_hosts.py": "people who talk over two hosts",
    "tests/scripts/doctor/test_host.py": "a chat that answers nothing",
    "tests/test_front_doors.py": "a chat behind the balancer",
    "tests/socket_host/test_conversation.py": "three lines of socket.io-client in the first room",
    "tests/socket_host/test_door.py": "a process with the sample's events",
    "tests/socket_host/test_drain.py": "people who talk while a host drains",
    "tests/socket_host/test_floods.py": "typing costs a token",
    "tests/socket_host/test_sessions.py": "joining with a session",
    "tests/socket_host/test_presence_hosts.py": "people of the chat's rooms",
    "tests/socket_host/transport/test_recovery.py": "hostile: rooms like the chat's",
}


@pytest.mark.parametrize("path", sorted(line.files()))
def test_ours_knows_nothing_of_yours(path: str) -> None:
    """What of ours imports or names something of yours stands in the list above."""
    known = line.offences(path, (ROOT / path).read_text())
    assert not known or path in STILL_KNOWS


def test_list_of_exceptions_shrinks() -> None:
    """The list above holds no file that knows nothing of yours any more."""
    knows = {path for path in line.files() if line.offences(path, (ROOT / path).read_text())}
    assert knows == STILL_KNOWS.keys()
