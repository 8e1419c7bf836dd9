"""The image's tag follows from its contents."""

import shutil
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.commands.deploy.image import Image


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The sources of an image, to be changed."""
    for name in ("functions/contract", "functions/model", "socket_host", "infra"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in (".dockerignore", "requirements.txt", "scripts/commands/deploy/sbom.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "same"),
    [
        ("socket_host/events/__init__.py", False),
        ("socket_host/Dockerfile", False),
        ("functions/contract/session.py", False),
        ("requirements.txt", False),
        ("scripts/commands/deploy/sbom.py", False),
        ("socket_host/__pycache__/events.pyc", True),
        ("functions/pages/__init__.py", True),
    ],
)
def test_tag_depends_on_the_content(tree: Path, file: str, same: bool) -> None:
    """The tag changes with the image's files, and with nothing else."""
    before = Image.read(tree, "arm64")
    (tree / file).parent.mkdir(exist_ok=True)
    with (tree / file).open("a") as changed:
        changed.write("# A change.\n")
    assert (Image.read(tree, "arm64") == before) == same


def test_image_is_for_a_processor(tree: Path) -> None:
    """The platform is the processor's, and part of the tag."""
    arm, intel = (Image.read(tree, name) for name in ("arm64", "x86_64"))
    assert (arm.platform, intel.platform) == ("linux/arm64", "linux/amd64")
    assert arm.tag != intel.tag
