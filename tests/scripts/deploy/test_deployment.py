"""A deployment's steps, one by one, and what they say when they fail."""

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.commands.deploy import deployment as deploying
from scripts.commands.deploy.account import Account
from scripts.commands.deploy.deployment import Deployment, UnfitError
from scripts.commands.deploy.engine import Engine
from scripts.commands.deploy.step import StackError, StepError
from tests.scripts.deploy.engine import install


def options(**changes: Any) -> argparse.Namespace:
    names = (
        "region",
        "profile",
        "min_hosts",
        "max_hosts",
        "domain",
        "certificate",
        "web_acl",
        "bus",
    )
    given = {**dict.fromkeys((*names, "keep_data")), "parameter": [], **changes}
    return argparse.Namespace(stack="sidepath", **given)


def test_all_that_is_missing(
    nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is missing is said at once, each with how to get it."""
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    with pytest.raises(UnfitError) as error:
        Deployment.begin(options())
    credentials, region, engine, sam, setup = str(error.value).splitlines()
    assert "credentials are missing" in credentials
    assert "~/.aws/credentials" in credentials
    assert "--region eu-west-1" in region
    assert "Install Docker" in engine
    assert "scripts/sam says why" in sam
    assert "Run scripts/setup" in setup


def test_build_that_fails(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an image cannot be built, the step says so, and how to build for another processor."""
    folder = install(tmp_path / "bin")
    (folder / "broken").write_text("build")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StepError) as error:
        Deployment("sidepath", {}, account, Engine.find()).run()
    assert str(error.value).startswith("Building the image for linux/arm64 has failed.")
    assert "docker build has ended with status 1" in str(error.value)
    assert "exec format error" in str(error.value)
    assert "docker run --privileged --rm tonistiigi/binfmt" in str(error.value)


def test_base_without_a_digest(
    nothing: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nobody can tell what the base's tag stands for, the image is built on the tag."""
    (tmp_path / "socket_host").mkdir()
    (tmp_path / "socket_host/Dockerfile").write_text("ARG BASE=python:3\nFROM ${BASE}\n")
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    assert str(deploying._base()) == "python:3"
    said = capsys.readouterr().err
    assert "What python:3 stands for cannot be looked up" in said
    assert "built on the tag" in said


def test_base_with_a_digest(nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the Dockerfile has a digest, nobody is asked for another."""
    base = f"python:3@sha256:{'a' * 64}"
    (tmp_path / "socket_host").mkdir()
    (tmp_path / "socket_host/Dockerfile").write_text(f"ARG BASE={base}\nFROM ${{BASE}}\n")
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    assert str(deploying._base()) == base


def test_arguments_become_parameters() -> None:
    """What is said becomes a parameter, and what is not said stays as it was."""
    assert deploying._parameters(options()) == {}
    given = options(
        min_hosts=1,
        max_hosts=8,
        domain="a.test",
        certificate="arn",
        web_acl="another",
        bus="valkey",
        keep_data=False,
        parameter=[("Colour", "red")],
    )
    assert deploying._parameters(given) == {
        "MinHosts": "1",
        "MaxHosts": "8",
        "Domain": "a.test",
        "Certificate": "arn",
        "WebAcl": "another",
        "BusKind": "valkey",
        "Colour": "red",
        "DataOnDelete": "Delete",
    }


def test_site_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is not reached is tried again, and in the end said to be deployed."""
    monkeypatch.setattr(deploying, "_NAME_TRIES", 2)
    monkeypatch.setattr(deploying, "_NAME_PAUSE", 0)
    with pytest.raises(StackError, match="https://localhost:1 is deployed, but scripts/doctor"):
        deploying._examine("https://localhost:1")
