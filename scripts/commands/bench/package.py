"""The size of the function's zip, as it would be deployed."""

import subprocess
import sys
import zipfile
from pathlib import Path

from scripts import ROOT
from scripts.commands.bench.sources import digest
from scripts.commands.deploy.bundle import Target

FUNCTIONS = ROOT / "functions"


class PackageError(Exception):
    """The function's packages could not be downloaded; the text says why."""


def measure(folder: Path) -> int:
    """Return the bytes of the zip with the function and its packages. Raises PackageError."""
    packages = _packages(folder)
    archive = folder / "function.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        _add(file, packages, packages)
        _add(file, FUNCTIONS, ROOT)
    return archive.stat().st_size


def _packages(folder: Path) -> Path:
    requirements = FUNCTIONS / "requirements.txt"
    cloud = Target.read(ROOT / "infra/template.yaml")
    target = folder / f"packages-{digest(requirements)}-{cloud.processor}"
    if not target.exists():
        unfinished = target.with_name(f"unfinished-{target.name}")
        where = ["--platform", f"manylinux2014_{cloud.processor}", "--python-version", cloud.python]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
        command += [*where, "--only-binary=:all:", "--no-compile"]
        command += ["--target", str(unfinished), "-r", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PackageError(f"pip could not download the function's packages:\n{done.stderr}")
        unfinished.rename(target)
    return target


def _add(file: zipfile.ZipFile, folder: Path, root: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            file.write(path, path.relative_to(root))
