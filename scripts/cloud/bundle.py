"""What the function's zip holds: `python -m scripts.cloud.bundle FOLDER` puts it into a folder.

`sam build` calls this through functions/Makefile. Neither the Python nor the processor that the
template names has to be on this machine: packages are taken as ready-made wheels.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scripts.process import ROOT
from scripts.template import load

CLIENT = "functions/static/socket.io.esm.min.js"

# The names that wheels have for Lambda's processors. Each stands for a C library at most as new
# as Lambda's (2.34, from python3.12 on).
_PLATFORMS = {
    "arm64": ("manylinux2014_aarch64", "manylinux_2_28_aarch64"),
    "x86_64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64"),
}

# What the sources hold that no page needs.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "Makefile", "requirements.txt", ".*", "*.new")


class BundleError(Exception):
    """The zip's contents cannot be put together; the text says why and what to do."""


@dataclass(frozen=True)
class Target:
    """What the function will run on."""

    python: str  # a version: 3.13
    platforms: tuple[str, ...]

    @classmethod
    def read(cls, template: Path) -> Self:
        """Return what the template says of the function, or raise BundleError."""
        properties = load(template.read_text())["Resources"]["Pages"]["Properties"]
        (architecture,) = properties.get("Architectures", ["x86_64"])
        runtime = str(properties.get("Runtime"))
        if architecture not in _PLATFORMS or not runtime.startswith("python3."):
            raise BundleError(
                f"The template has the function run {runtime} on {architecture}; this can build "
                f"for python3.x on {' or '.join(_PLATFORMS)}."
            )
        return cls(runtime.removeprefix("python"), _PLATFORMS[architecture])


def bundle(folder: Path, target: Target, root: Path = ROOT) -> None:
    """Put the function's code and packages for a target into a folder, or raise BundleError."""
    if not (root / CLIENT).is_file():
        raise BundleError(f"{CLIENT} is missing, which pages load. Run scripts/setup first.")
    shutil.copytree(root / "functions", folder / "functions", ignore=_LEFT_OUT)
    _install(folder, target, root / "functions/requirements.txt")
    # Commands that packages bring: nobody can call them, and each names this machine's Python.
    shutil.rmtree(folder / "bin", ignore_errors=True)


def _install(folder: Path, target: Target, requirements: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    platforms = [word for name in target.platforms for word in ("--platform", name)]
    wanted = ["--python-version", target.python, "--only-binary", ":all:", "--no-compile"]
    where = ["--target", str(folder), "--requirement", str(requirements)]
    done = subprocess.run([*pip, *platforms, *wanted, *where], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise BundleError(
            f"{done.stderr.strip()}\npip has not installed {requirements} for Python "
            f"{target.python} on {target.platforms[0]}. Every package needs a wheel for it."
        )


def main(folder: str) -> None:
    """Put the function together for the template's target; exit with 1 and a sentence if not."""
    try:
        bundle(Path(folder), Target.read(ROOT / "infra/template.yaml"))
    except BundleError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
