"""The function starts under `sam local` with the settings that scripts/sam writes for it."""

import json
import subprocess
import sys
import tomllib

from functions.contract.session import SAMPLE_SECRET
from functions.model.settings import settings as declared
from functions.web.settings import Settings
from scripts import ROOT


def test_settings_are_good() -> None:
    """They are all that the function needs, and those of development."""
    command = [sys.executable, "-m", "scripts.commands.dev.sam_local"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    settings = Settings.from_environ(json.loads(done.stdout)["Pages"], declared)
    assert settings.session_secret == SAMPLE_SECRET
    assert settings.development


def test_sam_finds_them() -> None:
    """They are written to the file that samconfig.toml names."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    file = config["default"]["local_start_api"]["parameters"]["env_vars"]
    assert f">{file}" in (ROOT / "scripts/sam").read_text()
