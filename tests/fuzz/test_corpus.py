"""The corpora: inputs that reached new code are kept, checked again, and fuzzed further."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.target import CORPUS, Target
from tests.kit.hosts import ROOT

_MOST_KEPT = 200_000  # bytes of all corpora

_MODULES = sorted(file.stem for file in Path(__file__).parent.glob("test_*.py"))
_NAMES = [name.removeprefix("test_") for name in _MODULES if name != "test_corpus"]


def _target(name: str) -> Target:
    target: Target = importlib.import_module(f"tests.fuzz.test_{name}").TARGET
    return target


@pytest.mark.parametrize("name", _NAMES)
def test_kept_inputs_still_pass(name: str) -> None:
    """The kept inputs pass."""
    target = _target(name)
    inputs = target.corpus()
    assert inputs, "the corpus is empty"
    for data in inputs:
        target.check(data)


def test_corpora_stay_small() -> None:
    """The corpora are small, because inputs that reach nothing new are not kept."""
    assert sum(file.stat().st_size for file in CORPUS.glob("*/*")) < _MOST_KEPT


@pytest.mark.long
@pytest.mark.parametrize("name", _NAMES)
def test_no_input_is_found_that_fails(name: str, tmp_path: Path) -> None:
    """Guided by coverage, the fuzzer finds no failing input; new inputs are kept."""
    if find_spec("atheris") is None:
        pytest.skip("atheris is not installed, which has wheels for Python 3.13 and older")
    seconds = os.environ.get("FUZZ_SECONDS", "60")
    fuzzer = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.explore", name, seconds, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    _target(name).keep(file.read_bytes() for file in (tmp_path / "found").glob("*"))
    broken = [file.read_bytes() for file in tmp_path.glob("broken-*")]
    assert fuzzer.returncode == 0, f"{broken}\n{fuzzer.stderr[-4_000:]}"
