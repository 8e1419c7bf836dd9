"""How a half's failure to start is shown: from its own code on, without what has imported that."""

import traceback
from pathlib import Path

from scripts import ROOT

_OURS = ("functions", "socket_host", "scripts", "tests")  # packages of the project

# What has started the half, and Python's own part in importing it.
_MACHINERY = (
    *(str(Path(__file__).with_name(name)) for name in ("child.py", "runtime.py")),
    *("<frozen importlib", "<frozen runpy", "<frozen zipimport"),
)


def describe(error: BaseException) -> str:
    """Return a traceback, and what to do if a package is missing."""
    shown = traceback.TracebackException.from_exception(error)
    shown.stack[:] = [frame for frame in shown.stack if not _is_machinery(frame.filename)]
    return "".join(shown.format()) + _advice(error)


def _is_machinery(file: str) -> bool:
    return file.startswith(_MACHINERY) or file.endswith("/importlib/__init__.py")


def _advice(error: BaseException) -> str:
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    module = (name or "").partition(".")[0]
    if not module or module in _OURS or (ROOT / module).exists():
        return ""
    return (
        f"No installed package has the module {module}. Add its package to `app` in "
        "pyproject.toml, run scripts/pin, and start scripts/dev again, which installs it.\n"
    )
