"""The workflow for GitHub runs scripts/test, and deploys only main."""

import json
import re
import tomllib

import yaml

from tests.docs.documents import ROOT, document

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
TEST, DEPLOY = WORKFLOW["jobs"]["test"], WORKFLOW["jobs"]["deploy"]


def test_workflow_runs_the_tests() -> None:
    """Its last step is scripts/test, with nothing added."""
    assert TEST["steps"][-1] == {"run": "scripts/test"}


def test_workflow_knows_the_oldest_python() -> None:
    """The oldest Python in the matrix is the oldest that pyproject.toml supports."""
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert re.sub(r"\D*(.*)", r"\1", promised) == TEST["strategy"]["matrix"]["python"][0]


def test_only_main_is_deployed() -> None:
    """The deployment runs after the tests, and only it may request a token."""
    assert DEPLOY["needs"] == "test"
    assert "github.ref == 'refs/heads/main'" in DEPLOY["if"]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert DEPLOY["permissions"]["id-token"] == "write"


def test_trust_policy() -> None:
    """The role trusts one branch of one repository, in both forms that GitHub uses."""
    (block,) = [each for each in document("docs/github.md").blocks if each.language == "json"]
    (statement,) = json.loads(block.text)["Statement"]
    (how, conditions) = next(iter(statement["Condition"].items()))
    assert how == "StringEquals"
    subjects = conditions["token.actions.githubusercontent.com:sub"]
    assert all(subject.endswith(":ref:refs/heads/main") for subject in subjects)
    assert not any("*" in subject for subject in subjects)
    assert [subject.count("@") for subject in subjects] == [2, 0]
