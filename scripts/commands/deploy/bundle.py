"""Puts together the contents of the function's zip.

`python -m scripts.commands.deploy.bundle FOLDER` writes them to a folder. ARCHITECTURE in the
environment replaces the template's default processor.

`sam build` calls this through functions/Makefile. This machine may have another Python and another
processor than the template names, because packages are installed from wheels. sbom.json in the zip
lists its components.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scripts import ROOT
from scripts.commands.deploy import architecture
from scripts.commands.deploy.sbom import sbom
from scripts.commands.dev.template import load
from scripts.packages import PackagesError, install_into

CLIENT = "functions/web/static/socket.io.esm.min.js"

# Platforms of wheels that run on Lambda, whose C library is version 2.34 from python3.12 on.
_C_LIBRARIES = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")

# Files in the sources that the function does not need.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "Makefile", "requirements.txt", ".*", "*.new")


class BundleError(Exception):
    """The zip's contents could not be put together; the text says why and what to do."""


@dataclass(frozen=True)
class Target:
    """The Python and the processor that the function runs on."""

    python: str  # its version, such as 3.13
    processor: str

    @classmethod
    def read(cls, template: Path, chosen: str | None = None) -> Self:
        """Return the target in a template, or raise BundleError.

        `chosen` is the processor, if it is not the template's default.
        """
        loaded = load(template.read_text())
        runtime = str(loaded["Resources"]["Pages"]["Properties"].get("Runtime"))
        name = chosen or architecture.default(loaded)
        known = architecture.KNOWN.get(name)
        if not known or not runtime.startswith("python3."):
            raise BundleError(
                f"The template asks for {runtime} on {name}, but this builds only for python3.x on "
                f"{' or '.join(architecture.KNOWN)}."
            )
        return cls(runtime.removeprefix("python"), known.wheels)


def bundle(folder: Path, target: Target, root: Path = ROOT) -> None:
    """Put the function's code and packages for a target into a folder, or raise BundleError."""
    if not (root / CLIENT).is_file():
        raise BundleError(f"{CLIENT}, which pages load, is missing. Run scripts/setup first.")
    shutil.copytree(root / "functions", folder / "functions", ignore=_LEFT_OUT)
    lists = [root / "functions/requirements.txt", root / "requirements.txt"]
    _install(folder, target, lists)
    # Packages' command-line scripts: they are of no use there, and name this machine's Python.
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)  # uv's
    locks = [*lists, root / "package-lock.json"]
    (folder / "sbom.json").write_text(sbom("sidepath-function", folder, locks))


def _install(folder: Path, target: Target, lists: Sequence[Path]) -> None:
    # pip does not know by itself that wheels for an older C library work too.
    platforms = [f"--platform={library}_{target.processor}" for library in _C_LIBRARIES]
    wheels = ["--python-version", target.python, "--only-binary", ":all:"]
    try:
        install_into(
            str(folder),
            [str(file) for file in lists],
            wheels,
            uv=["--python-platform", f"{target.processor}-{_C_LIBRARIES[-1]}"],
            pip=platforms,
        )
    except PackagesError:
        raise BundleError(
            f"The packages in {' and '.join(str(file) for file in lists)} were not installed for "
            f"Python {target.python} on {target.processor}; see above why. Each needs a wheel "
            "for that platform, and its hash in the list, which scripts/pin writes."
        ) from None


def main(folder: str) -> None:
    """Write the function to a folder; exit with 1 and a message if that fails."""
    try:
        chosen = os.environ.get("ARCHITECTURE")
        bundle(Path(folder), Target.read(ROOT / "infra/template.yaml", chosen))
    except BundleError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
