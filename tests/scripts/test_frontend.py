"""The front end's build, if package.json has one."""

import json
from pathlib import Path

import pytest

from scripts import frontend


def write_package(root: Path, **scripts: str) -> None:
    (root / "package.json").write_text(json.dumps({"scripts": scripts}))


def test_scripts(tmp_path: Path) -> None:
    """A package.json that is missing, malformed, or of another form has no scripts."""
    assert not frontend.has_script("build", tmp_path)
    for text in ("", "{", "[]", "{}", '{"scripts": []}', '{"scripts": {"build": 1}}'):
        (tmp_path / "package.json").write_text(text)
        assert not frontend.has_script("build", tmp_path)
    write_package(tmp_path, build="true")
    assert frontend.has_script("build", tmp_path)
    assert not frontend.has_script("watch", tmp_path)


def test_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a script nothing runs; a failing script, and a missing npm, are reported."""
    frontend.run("build", tmp_path)
    write_package(tmp_path, build="echo built >built", bad="exit 3")
    frontend.run("build", tmp_path)
    assert (tmp_path / "built").read_text() == "built\n"
    with pytest.raises(frontend.BuildError, match="npm run bad ended with status 3"):
        frontend.run("bad", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(frontend.BuildError, match="npm, which runs it, is missing"):
        frontend.run("build", tmp_path)
