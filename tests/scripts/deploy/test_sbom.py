"""The SBOMs list what is installed in each half, with the hashes of the locks."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts import ROOT
from scripts.commands.deploy.bundle import Target, bundle
from scripts.packages import install_into
from tests.scripts.deploy.dockerfile import instructions

SBOM = ROOT / "scripts/commands/deploy/sbom.py"
CLIENT = json.loads((ROOT / "package-lock.json").read_text())["packages"]


def valid(text: str) -> dict[str, Any]:
    """The components of an SBOM by purl; it must follow CycloneDX's schema."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return {component["purl"]: component for component in json.loads(text)["components"]}


def installed(folder: Path) -> set[str]:
    """The purls of the Python packages in a folder."""
    return {
        f"pkg:pypi/{re.sub('[-_.]+', '-', found.name).lower()}@{found.version}"
        for found in distributions(path=[str(folder)])
    }


def hashes(component: dict[str, Any]) -> set[str]:
    (source,) = component["externalReferences"]
    return {file["content"] for file in source["hashes"]}


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of the function's zip."""
    folder = tmp_path_factory.mktemp("zip")
    bundle(folder, Target.read(ROOT / "infra/template.yaml"))
    return folder


def test_sbom_of_the_zip(zipped: Path) -> None:
    """The zip's SBOM lists its packages and the browser's, and nothing else."""
    components = valid((zipped / "sbom.json").read_text())
    client = {purl for purl in components if purl.startswith("pkg:npm/")}
    assert components.keys() - client == installed(zipped)
    assert (
        f"pkg:npm/socket.io-client@{CLIENT['node_modules/socket.io-client']['version']}" in client
    )
    assert not [purl for purl in client if "axe-core" in purl]  # only for tests


def test_hashes_are_those_of_the_list(zipped: Path) -> None:
    """Packages have the hashes of their list, or the integrity of npm's lock."""
    components = valid((zipped / "sbom.json").read_text())
    lists = [ROOT / "requirements.txt", ROOT / "functions/requirements.txt"]
    entries = re.split(r"^(?=\w)", "".join(map(Path.read_text, lists)), flags=re.MULTILINE)
    listed = {frozenset(re.findall(r"sha256:(\w+)", entry)) for entry in entries}
    python = [component for purl, component in components.items() if "pkg:pypi" in purl]
    assert python
    assert {frozenset(hashes(component)) for component in python} <= listed - {frozenset()}
    assert all(
        len(hashes(component)) == 1 for purl, component in components.items() if "npm" in purl
    )


def test_sbom_is_deterministic(zipped: Path, tmp_path: Path) -> None:
    """The same components always give the same SBOM."""
    bundle(tmp_path, Target.read(ROOT / "infra/template.yaml"))
    assert (tmp_path / "sbom.json").read_bytes() == (zipped / "sbom.json").read_bytes()


def test_sbom_of_the_image(tmp_path: Path) -> None:
    """The Dockerfile's command lists the image's packages, from the builder's files."""
    (install,) = [line for line in instructions("RUN") if line.startswith("pip install")]
    lists = re.findall(r"--requirement (\S+)", install)
    assert lists == ["requirements.txt", "socket_host/requirements.txt"]
    assert "--require-hashes" in install
    folder = tmp_path / "packages"
    wheels = ["--python-version", "3.13", "--only-binary", ":all:"]
    install_into(
        str(folder),
        [str(ROOT / file) for file in lists],
        wheels,
        uv=["--python-platform", "aarch64-manylinux_2_28"],
        pip=["--platform", "manylinux_2_28_aarch64", "--platform", "manylinux2014_aarch64"],
    )

    (line,) = [line for line in instructions("RUN") if "sbom.py" in line]
    assert "scripts/commands/deploy/sbom.py sbom.py" in instructions("COPY")
    words = shlex.split(line)
    assert words[:2] == ["python", "sbom.py"]
    assert words[-4:] == [">sbom.json", "&&", "rm", "sbom.py"]
    name, site, *locks = words[2:-4]
    assert "sysconfig.get_path" in site
    for file in lists:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    command = [
        sys.executable,
        str(SBOM),
        name,
        str(folder),
        *locks,
    ]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    components = valid(printed.stdout)
    assert components.keys() == installed(folder)
    assert all(hashes(component) for component in components.values())


def test_package_of_no_list_is_listed(tmp_path: Path) -> None:
    """An installed package that is in no list, such as pip, is listed."""
    (tmp_path / "pip-26.dist-info").mkdir()
    (tmp_path / "pip-26.dist-info/METADATA").write_text("Name: pip\nVersion: 26\n")
    command = [sys.executable, str(SBOM), "host", str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert valid(printed).keys() == {"pkg:pypi/pip@26"}
