"""The function's zip: packages for its own Python and processor, or an error message."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import ROOT, packages
from scripts.commands.deploy import bundle
from scripts.commands.deploy.architecture import KNOWN
from scripts.commands.deploy.bundle import BundleError, Target
from tests.infra.templates import SOURCE, with_architecture

NOWHERE = "http://127.0.0.1:1"  # no server listens here


def test_zip_without_setup(tmp_path: Path) -> None:
    """Without the socket client there is an error message instead of a zip."""
    target = Target.read(ROOT / "infra/template.yaml")
    with pytest.raises(
        BundleError, match=r"socket.io.esm.min.js, which pages load, is missing. Run scripts/setup"
    ):
        bundle.bundle(tmp_path / "zip", target, root=tmp_path)


def test_makefile_without_setup(tmp_path: Path) -> None:
    """Without .venv, make says what to run."""
    done = subprocess.run(
        ["make", "--makefile", ROOT / "functions/Makefile", "build-Pages"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert "Run scripts/setup first" in done.stderr


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A project with very few files for a zip."""
    (tmp_path / "functions/web/static").mkdir(parents=True)
    (tmp_path / bundle.CLIENT).touch()
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "package-lock.json").write_text('{"packages": {}}')
    return tmp_path


def entry(package: str, file: str) -> str:
    """A package's entry in one of our lists."""
    found = re.search(rf"^{package}==.*\n(?: .*\n)+", (ROOT / file).read_text(), re.MULTILINE)
    assert found
    return found[0]


def without_uv(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(packages.importlib.util, "find_spec", lambda name: None)


def without_a_registry_for_uv(patch: pytest.MonkeyPatch) -> None:
    for name, value in {"DEFAULT_INDEX": NOWHERE, "NO_CACHE": "1", "HTTP_RETRIES": "0"}.items():
        patch.setenv(f"UV_{name}", value)


@pytest.mark.parametrize(
    ("hinder", "processor"),
    [
        (lambda patch: None, "x86_64"),
        (without_uv, "aarch64"),
        (without_a_registry_for_uv, "aarch64"),
    ],
)
def test_packages_for_another_machine(
    hinder: Callable[[pytest.MonkeyPatch], None],
    processor: str,
    sources: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packages are for the requested Python and processor, by pip if uv fails."""
    hinder(monkeypatch)
    pin = entry("markupsafe", "functions/requirements.txt")
    (sources / "functions/requirements.txt").write_text(pin)
    bundle.bundle(sources / "zip", Target("3.13", processor), root=sources)
    compiled = [file.name for file in (sources / "zip").rglob("*.so")]
    assert compiled == [f"_speedups.cpython-313-{processor}-linux-gnu.so"]


def test_package_without_a_wheel(sources: Path) -> None:
    """A package without a wheel for the function's processor causes one message."""
    pin = entry("pywin32", "tests/requirements.txt").replace("; sys_platform == 'win32' ", "")
    (sources / "functions/requirements.txt").write_text(pin)
    with pytest.raises(BundleError, match=r"not installed for Python 3.13 on aarch64; .* wheel"):
        bundle.bundle(sources / "zip", Target("3.13", "aarch64"), root=sources)


@pytest.mark.parametrize(("runtime", "chosen"), [("nodejs24.x", None), ("python3.13", "riscv")])
def test_target_that_cannot_be_built_for(runtime: str, chosen: str | None, tmp_path: Path) -> None:
    """An unsupported runtime or processor is refused, with the supported ones."""
    template = tmp_path / "template.yaml"
    template.write_text(SOURCE.read_text().replace("python3.13", runtime))
    with pytest.raises(BundleError, match="arm64 or x86_64"):
        Target.read(template, chosen)


@pytest.mark.parametrize("name", KNOWN)
def test_target_is_what_is_chosen(name: str, tmp_path: Path) -> None:
    """The zip is for the template's processor, or for the chosen one."""
    template = tmp_path / "template.yaml"
    template.write_text(with_architecture(SOURCE.read_text(), name))
    assert Target.read(template) == Target("3.13", KNOWN[name].wheels)
    for chosen in KNOWN:
        assert Target.read(template, chosen).processor == KNOWN[chosen].wheels
