"""If neither uv nor pip can install packages, a sentence follows their output."""

import subprocess
import sys
from pathlib import Path

from scripts import ROOT


def test_uv_and_pip_fail(tmp_path: Path) -> None:
    """The last line is a sentence, and there is no traceback."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho No such index >&2\nexit 1\n")
    python.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.packages", str(python), "scripts/tools/uv.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "No such index" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("The packages could not be installed")
    assert "Traceback" not in done.stderr
