"""The workflow for GitHub runs what scripts/test runs, on every Python that is supported."""

import re
import tomllib

import yaml

from tests.docs.documents import ROOT

JOB = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]


def test_workflow_runs_the_tests() -> None:
    """Its last step is scripts/test, with nothing added."""
    assert JOB["steps"][-1] == {"run": "scripts/test"}


def test_workflow_knows_the_oldest_python() -> None:
    """The oldest Python of the matrix is the one that pyproject.toml promises."""
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert re.sub(r"\D*(.*)", r"\1", promised) == JOB["strategy"]["matrix"]["python"][0]
