"""Each half imports only what is deployed with it, and starts without the other."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from functions.model.settings import settings as declared
from scripts.commands.pin.lists import pins
from tests import line
from tests.kit.hosts import own_texts

ROOT = Path(__file__).parent.parent

# Packages whose import name differs from their name.
NAMES = {"socketio": "python-socketio", "engineio": "python-engineio"}

# Packages of Lambda's Python.
# Folders that both halves have.
SHARED = ("functions.contract", "functions.model")

IN_LAMBDA = {"functions": {"boto3", "botocore"}, "socket_host": set()}


def imports(file: Path) -> set[str]:
    """Every module that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import; use the full name"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def required(half: str) -> set[str]:
    lists = (ROOT / half / "requirements.txt", ROOT / "requirements.txt")
    return {name for file in lists for name in pins(file.read_text())}


def imported(*folders: str, below: tuple[str, ...]) -> set[tuple[str, str]]:
    """Which files in folders import which modules of some packages."""
    found = {(str(file), name) for file in files(*folders) for name in imports(file)}
    return {(file, name) for file, name in found if name.split(".")[0] in below}


def test_functions_import_only_functions() -> None:
    """The zip contains only functions/, so nothing else can be imported."""
    assert imported("functions", below=("socket_host", "scripts", "tests")) == set()


def test_contract_imports_only_contract() -> None:
    """The contract imports neither half."""
    found = imported("functions/contract", below=("functions",))
    assert {(f, name) for f, name in found if not name.startswith("functions.contract")} == set()


def test_host_imports_only_what_both_carry() -> None:
    """The image holds socket_host/, functions/contract/ and functions/model/."""
    found = imported("socket_host", below=("functions", "scripts", "tests"))
    assert {(f, name) for f, name in found if not name.startswith(SHARED)} == set()


def test_transports_do_not_share_a_transport() -> None:
    """The modules that both transports use import neither of them."""
    shared = (ROOT / "socket_host/transport").glob("*.py")
    found = {(file.name, name) for file in shared for name in imports(file)}
    transports = ("socket_host.transport.native", "socket_host.transport.stock")
    assert {(file, name) for file, name in found if name.startswith(transports)} == set()


# Pairs of modules that import each other: a session and what keeps all sessions.
CIRCLES = [{"socket_host.transport.native.client", "socket_host.transport.native.engine"}]


def module(file: Path) -> str:
    """A file's name as imports write it."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def circles(*folders: str) -> list[set[str]]:
    """Sets of our modules in folders that import each other, directly or through others."""
    ours = [
        file for file in files(*folders) if not str(file.relative_to(ROOT)).startswith(line.YOURS)
    ]
    found = {module(file): imports(file) for file in ours}
    graph = {name: names & found.keys() - {name} for name, names in found.items()}
    for name, file in ((module(file), file) for file in ours):
        # `from package import module` needs only the module, not the rest of its package.
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


@pytest.mark.parametrize(
    ("part", "known"), [("functions", []), ("socket_host", CIRCLES), ("scripts", [])]
)
def test_imports_go_one_way(part: str, known: list[set[str]]) -> None:
    """Our modules have no circular imports, not even for types."""
    assert circles(part) == known


@pytest.mark.parametrize("half", ["functions", "socket_host"])
def test_packages_are_pinned(half: str) -> None:
    """Every package that a half imports is in its own list or the team's, or part of Lambda."""
    folders = [half] if half == "functions" else [half, "functions/contract", "functions/model"]
    names = {name.split(".")[0] for file in files(*folders) for name in imports(file)}
    names -= {*sys.stdlib_module_names, "functions", "socket_host"}
    assert {NAMES.get(name, name) for name in names} <= required(half) | IN_LAMBDA[half]


def copy(part: str, to: Path) -> None:
    shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("__pycache__"))


def run(code: str, cwd: Path) -> str:
    """Run code that can import only packages and the contents of a folder."""
    environ = {
        "STAGE": "development",
        "SESSION_SECRET": "sample-secret-for-development-only",
        **own_texts(cwd, declared),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_function_starts_alone(tmp_path: Path) -> None:
    """The function needs only its folder, and loads nothing that pages do not use."""
    copy("functions", tmp_path)
    loaded = run("import sys, functions.app; print(*sys.modules, sep='\\n')", tmp_path).split()
    assert "starlette" in loaded
    assert not {"socketio", "aiohttp", "boto3", "botocore"} & set(loaded)


def test_host_starts_alone(tmp_path: Path) -> None:
    """The host needs only its folder, the contract and the model."""
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


def test_ours_imports_nothing_of_yours() -> None:
    """Our modules import from yours only the two lists, the pages' `start`, and the settings."""
    modules = [path for path in line.files() if path.endswith(".py")]
    found = {path: line.imported((ROOT / path).read_text()) for path in modules}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from functions.model.orders import Orders",
        "from functions.model import orders",
        "import functions.model.orders",
        "from functions.pages import front",
        "from socket_host.events.chat import Chat",
        "from socket_host import events\nfrom socket_host.events import chat",
        "from tests.app.orders import order",
        "def late():\n    from functions.pages.front import front",
    ],
)
def test_import_of_yours_is_found(text: str) -> None:
    """Any other import from your modules is found."""
    assert line.imported(text)
