"""`scripts/setup`, with stand-ins for Python, pip and npm that record how they are called."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import ROOT

PYTHON = f"""#!/bin/sh
case "$*" in
  *fcntl*) exec {sys.executable} "$@";;
  *scripts.frontend*) echo "frontend" >>calls; [ ! -f unbuilt ];;
  *scripts.packages*) echo "packages $*" >>calls; [ ! -f broken ];;
  *venv*) mkdir -p .venv/bin; cp "$0" .venv/bin/python;;
  *"install "*uv.txt) echo "pip $*" >>calls; [ ! -f no-uv ];;
esac
"""
NPM = """#!/bin/sh
echo "npm $*" >>calls
mkdir -p node_modules/socket.io-client/dist
echo client >node_modules/socket.io-client/dist/socket.io.esm.min.js
"""
NOBODY = "#!/bin/sh\necho 1000\n"  # the output of `id -u` for a user who may not install packages

TOOLS = ("bash", "cat", "cmp", "cp", "dirname", "env", "mkdir", "mv", "rm", "sh")


class Project:
    """A project with little more than requirements, and a PATH with little more than stand-ins."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = str(root / "bin")
        for folder in ("functions/web/static", "socket_host", "scripts", "tests", "bin"):
            (root / folder).mkdir(parents=True)
        for half in ("functions", "socket_host", "scripts", "tests"):
            (root / half / "requirements.txt").write_text(f"{half}==1\n")
        (root / "requirements.txt").write_text("")
        (root / "scripts/tools").mkdir()
        (root / "scripts/tools/uv.txt").write_text("uv==1")
        for package in ("package.json", "package-lock.json"):
            (root / package).write_text("{}")
        for script in ("setup", "help.sh", "lock.sh"):
            shutil.copy(ROOT / "scripts" / script, root / "scripts" / script)
        for tool in TOOLS:
            (root / "bin" / tool).symlink_to(str(shutil.which(tool)))
        self.tool("python3", PYTHON)
        self.tool("npm", NPM)
        self.tool("id", NOBODY)

    def tool(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["scripts/setup", *options],
            cwd=self.root,
            env={"PATH": self.path},
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str) -> tuple[int, str]:
        """The exit status and the output of setup."""
        process = self.start(*options)
        output = process.communicate(timeout=20)[1]
        return process.returncode, output

    @property
    def calls(self) -> list[str]:
        """The calls of pip and npm so far."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_first_time(project: Project) -> None:
    """The first run creates an environment, and installs both halves and the client."""
    assert project.run()[0] == 0
    uv, packages, npm, build = project.calls
    assert "--require-hashes --requirement scripts/tools/uv.txt" in uv
    for half in ("", "functions/", "socket_host/", "scripts/"):
        assert f" {half}requirements.txt" in packages
    assert "tests" not in packages
    assert npm.startswith("npm ci")
    assert build == "frontend"
    assert (project.root / "functions/web/static/socket.io.esm.min.js").read_text() == "client\n"


def test_without_uv(project: Project) -> None:
    """Without uv, packages are still installed."""
    (project.root / "no-uv").touch()
    assert project.run()[0] == 0
    _, packages, _, _ = project.calls
    assert "functions/requirements.txt" in packages


def test_nothing_changed(project: Project) -> None:
    """If nothing has changed, nothing is done or printed."""
    project.run()
    calls = project.calls
    assert project.run() == (0, "")
    assert project.calls == calls


@pytest.mark.parametrize(
    "file",
    [
        *("requirements.txt", "functions/requirements.txt", "scripts/requirements.txt"),
        *("scripts/tools/uv.txt", "package.json", "package-lock.json"),
    ],
)
def test_something_changed(project: Project, file: str) -> None:
    """A changed requirement is installed in the next run."""
    project.run()
    (project.root / file).write_text("changed")
    calls = len(project.calls)
    assert project.run()[0] == 0
    assert len(project.calls) > calls


@pytest.mark.parametrize("file", [".venv/bin/python", "functions/web/static/socket.io.esm.min.js"])
def test_something_deleted(project: Project, file: str) -> None:
    """What setup has created is restored after it was deleted."""
    project.run()
    (project.root / file).unlink()
    assert project.run()[0] == 0
    assert (project.root / file).exists()


def test_tests(project: Project) -> None:
    """--tests adds the tests' packages, once, and includes everything for scripts/dev."""
    assert project.run("--tests")[0] == 0
    assert "tests/requirements.txt" in project.calls[-1]
    calls = project.calls
    assert project.run("--tests") == project.run() == (0, "")
    assert project.calls == calls


def test_failed_halfway(project: Project) -> None:
    """A failed run is not considered complete: the next one repeats it."""
    (project.root / "broken").touch()
    assert project.run()[0] == 1
    (project.root / "broken").unlink()
    calls = len(project.calls)
    assert project.run()[0] == 0
    assert len(project.calls) == calls + 4


def test_many_at_once(project: Project) -> None:
    """Of several runs at once, one does the work and the others wait for it."""
    several = [project.start() for _ in range(6)]
    for process in several:
        process.communicate(timeout=20)
    assert [process.returncode for process in several] == [0] * 6
    assert len(project.calls) == 4


def test_lock_of_a_killed_run(project: Project) -> None:
    """A run says that it waits for another, and continues when that is killed."""
    (project.root / ".sidepath").mkdir()
    with (project.root / ".sidepath/setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    waiting = project.start()
    assert waiting.stderr
    assert waiting.stderr.readline() == "scripts/setup: waiting for another run to finish\n"
    assert project.calls == []
    holder.kill()
    holder.communicate()
    waiting.communicate(timeout=20)
    assert waiting.returncode == 0


def test_many_wait_for_a_killed_run(project: Project) -> None:
    """When the run that several wait for is killed, one of them does the work."""
    (project.root / ".sidepath").mkdir()
    with (project.root / ".sidepath/setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    several = [project.start() for _ in range(6)]
    for process in several:
        assert process.stderr
        assert "waiting for another run" in process.stderr.readline()
    assert project.calls == []
    holder.kill()
    holder.communicate()
    for process in several:
        process.communicate(timeout=20)
    assert [process.returncode for process in several] == [0] * 6
    assert len(project.calls) == 4


needs_rights = pytest.mark.skipif(os.getuid() == 0, reason="root may do everything")


@needs_rights
def test_lock_of_another_user(project: Project) -> None:
    """A lock that is readable but not writable is waited for too."""
    (project.root / ".sidepath").mkdir()
    file = project.root / ".sidepath/setup.lock"
    file.touch()
    file.chmod(0o444)
    with file.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = project.start()
        assert waiting.stderr
        assert waiting.stderr.readline() == "scripts/setup: waiting for another run to finish\n"
    waiting.communicate(timeout=20)
    assert waiting.returncode == 0


@pytest.mark.parametrize("folder", ["setup.lock", "setup.lock/of somebody"])
def test_lock_of_an_earlier_version(project: Project, folder: str) -> None:
    """A lock that is a folder, from an earlier version, is not an obstacle."""
    (project.root / ".sidepath" / folder).mkdir(parents=True)
    assert project.run()[0] == 0


def test_lock_that_is_a_pipe(project: Project) -> None:
    """A lock that is a pipe does not block setup."""
    (project.root / ".sidepath").mkdir()
    os.mkfifo(project.root / ".sidepath/setup.lock")
    assert project.run()[0] == 0


def no_folder(project: Project) -> None:
    (project.root / ".sidepath").touch()


def unwritable_folder(project: Project) -> None:
    (project.root / ".sidepath").mkdir(mode=0o555)


def dead_link(project: Project) -> None:
    (project.root / ".sidepath").symlink_to("nowhere/at/all")


@pytest.mark.parametrize(
    "prevent", [no_folder, dead_link, pytest.param(unwritable_folder, marks=needs_rights)]
)
def test_lock_that_cannot_be_created(project: Project, prevent: Callable[[Project], None]) -> None:
    """If the lock cannot be created, setup ends at once with a message."""
    prevent(project)
    status, output = project.run()
    assert status == 1
    (line,) = output.splitlines()
    assert line.startswith("scripts/setup: .sidepath/setup.lock cannot be opened")
    assert project.calls == []


NO_LOCKS = """
import fcntl, sys

def flock(*arguments):
    raise OSError(95, "Operation not supported")

fcntl.flock = flock
code, *sys.argv[1:] = sys.argv[2:]
exec(code)
"""


def test_file_system_without_locks(project: Project) -> None:
    """A file system without locks is reported too."""
    called = f'exec {sys.executable} "$@"'
    assert called in PYTHON
    project.tool("python3", PYTHON.replace(called, f'exec {sys.executable} no_locks.py "$@"'))
    (project.root / "no_locks.py").write_text(NO_LOCKS)
    status, output = project.run()
    assert (status, project.calls) == (1, [])
    assert "cannot be locked, so nothing was installed: Operation not supported." in output


def test_npm_fails(project: Project) -> None:
    """npm's error message is shown, with what to check."""
    project.tool("npm", NPM.replace("mkdir", "echo npm error ENOTFOUND >&2; exit 1; mkdir"))
    status, output = project.run()
    assert status == 1
    assert "npm error ENOTFOUND\n" in output
    assert "If package.json has changed, run scripts/pin." in output
    assert "silent" not in project.calls[-1]


def test_build_fails(project: Project) -> None:
    """If the front end's build fails, a message says so, and packages are still installed, once."""
    (project.root / "unbuilt").touch()
    status, output = project.run()
    assert status == 0
    assert "scripts/setup: the front end was not built" in output
    calls = project.calls
    assert project.run() == (0, "")
    assert project.calls == calls


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [("python3", "Python 3.11 or later is missing. Install it:"), ("npm", "npm is missing")],
)
def test_missing_tool(project: Project, tool: str, sentence: str) -> None:
    """A missing tool that may not be installed is named, with how to install it."""
    (project.root / "bin" / tool).unlink()
    status, output = project.run()
    assert status == 1
    assert sentence in output.splitlines()[-1]
    assert "apt-get install" in output.splitlines()[-1]
    assert "brew install" in output.splitlines()[-1]


def test_old_python(project: Project) -> None:
    """A Python that is too old is ignored."""
    project.tool("python3", "#!/bin/sh\nexit 1\n")
    assert "Python 3.11 or later is missing" in project.run()[1]
    assert not (project.root / ".venv").exists()


def test_shims_come_last(project: Project) -> None:
    """pyenv's shims, which lack optimisation, are used only if there is no other Python."""
    shims = project.root / "shims"
    shims.mkdir()
    (shims / "python3").write_text("#!/bin/sh\necho shim >>calls\n" + PYTHON)
    (shims / "python3").chmod(0o755)
    project.path = f"{shims}:{project.path}"
    assert project.run()[0] == 0
    assert "shim" not in project.calls
    (project.root / "bin" / "python3").unlink()
    shutil.rmtree(project.root / ".venv")
    assert project.run()[0] == 0
    assert "shim" in project.calls


@pytest.mark.parametrize("installed", [True, False])
def test_python_of_the_environment(project: Project, installed: bool) -> None:
    """A .venv whose Python is too old, or was replaced by the system, is created again."""
    if installed:
        project.run()
    python = project.root / ".venv/bin/python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text('#!/bin/sh\ncase "$*" in *version_info*) exit 1;; esac\n')
    python.chmod(0o755)
    status, output = project.run()
    assert (status, output.count("creating .venv")) == (0, 1)
    assert python.read_text() == PYTHON
    assert project.run() == (0, "")
