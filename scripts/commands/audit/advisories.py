"""Advisories on pinned packages, from the databases that pip-audit and `npm audit` ask."""

import json
import subprocess
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.commands.pin.lists import pins

PIP_AUDIT = ".venv-pip-audit/bin/pip-audit"

# The databases of pip-audit. The second is the registry's own, which mirrors do not have.
_SERVICES = ("osv", "pypi")

_PATIENCE = 120  # seconds for all packages of a lock file
_TIMEOUT = 10  # seconds for one response


class UnreachableError(Exception):
    """No advisory database could be reached."""


@dataclass(frozen=True, order=True)
class Advisory:
    """A known vulnerability of a version of a package."""

    lock: str
    package: str
    id: str
    names: tuple[str, ...]  # its names in other databases
    advice: str

    def __str__(self) -> str:
        return f"{self.lock}: {self.package}: {self.id}. {self.advice}"


@dataclass(frozen=True)
class Answer:
    """A database's answer about a lock file."""

    advisories: list[Advisory]
    unknown: list[str]  # packages that it does not know


def of_python(root: Path, lists: Sequence[str]) -> Answer:
    """Return the advisories on the packages of lists. Raises UnreachableError."""
    for service in _SERVICES:
        command = [
            *(str(root / PIP_AUDIT), "--vulnerability-service", service),
            *("--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"),
            *("--timeout", str(_TIMEOUT), *(f"--requirement={path}" for path in lists)),
        ]
        packages = _answer(command, root).get("dependencies", [])
        asked = [package for package in packages if "vulns" in package]
        if asked:
            locks = {path: pins((root / path).read_text()) for path in lists}
            found = [advisory for package in asked for advisory in _python(package, locks)]
            return Answer(found, [p["name"] for p in packages if "vulns" not in p])
    raise UnreachableError


def _python(package: dict[str, Any], locks: Mapping[str, Container[str]]) -> Iterator[Advisory]:
    for found in package["vulns"]:
        fixed = ", ".join(found["fix_versions"])
        yield Advisory(
            lock=", ".join(path for path, names in locks.items() if package["name"] in names),
            package=f"{package['name']} {package['version']}",
            id=found["id"],
            names=tuple(found["aliases"]),
            advice=f"It is fixed in {fixed}." if fixed else "No version fixes it yet.",
        )


def of_npm(root: Path, folder: str) -> Answer:
    """Return the advisories on the packages of a folder's lock file. Raises UnreachableError."""
    command = ["npm", "audit", "--json", "--package-lock-only", "--fetch-retries=0"]
    answer = _answer([*command, f"--fetch-timeout={_TIMEOUT * 1000}"], root / folder)
    if "auditReportVersion" not in answer:
        raise UnreachableError
    found = [
        Advisory(
            lock=str(Path(folder) / "package-lock.json"),
            package=f"{name} {cause['range']}",
            id=cause["url"].rpartition("/")[2],
            names=(),
            advice="`npm audit` in that folder says more.",
        )
        for name, package in answer["vulnerabilities"].items()
        for cause in package["via"]
        if isinstance(cause, dict)  # otherwise it names another package in this answer
    ]
    return Answer(found, [])


def _answer(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return the JSON that a program prints; empty if it prints none."""
    try:
        asked = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE
        )
        answer: dict[str, Any] = json.loads(asked.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}
    return answer
