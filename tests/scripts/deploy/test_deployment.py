"""The steps of a deployment, and their messages when they fail."""

import argparse
import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from scripts.commands.deploy import deployment as deploying
from scripts.commands.deploy import emulation, outcome, sam, service_roles
from scripts.commands.deploy.account import Account
from scripts.commands.deploy.deployment import Deployment, UnfitError
from scripts.commands.deploy.engine import Engine
from scripts.commands.deploy.repository import Repository
from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import StackError, StepError
from tests.scripts.deploy.engine import install
from tests.scripts.deploy.rehearsal import REGION

pytestmark = pytest.mark.together("template")


@pytest.fixture
def stacked(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account with a stack that has its own parameters, and all tools."""
    folder = install(tmp_path / "engine")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sam, "present", lambda: True)
    has = {"Image": "image", "MinHosts": "3", "MaxHosts": "4", "Architecture": "x86_64"}
    declared = {name: {"Type": "String"} for name in has}
    account.client("cloudformation").create_stack(
        StackName="sidepath",
        TemplateBody=json.dumps(
            {"Parameters": declared, "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
        ),
        Parameters=[{"ParameterKey": n, "ParameterValue": v} for n, v in has.items()],
    )
    return account


def options(**changes: Any) -> argparse.Namespace:
    names = ("region", "profile", "architecture", "min_hosts", "max_hosts", "domain", "bus")
    more = ("certificate", "web_acl", "keep_data", "page", "session", "namespace")
    given = {**dict.fromkeys((*names, *more)), "parameter": [], **changes}
    return argparse.Namespace(stack="sidepath", **given)


def test_all_that_is_missing(
    nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that is missing is listed at once, each with what to do."""
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    monkeypatch.setattr(sam, "present", lambda: pytest.fail("SAM would be installed for nothing"))
    with pytest.raises(UnfitError) as error:
        Deployment.begin(options())
    credentials, region, engine, setup = str(error.value).splitlines()
    assert "credentials are missing" in credentials
    assert "~/.aws/credentials" in credentials
    assert "--region eu-west-1" in region
    assert "Install Docker" in engine
    assert "Run scripts/setup" in setup


def test_no_sam(stacked: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM is checked last, because the check may install it."""
    monkeypatch.setattr(sam, "present", lambda: False)
    with pytest.raises(UnfitError, match="run scripts/sam to see why"):
        Deployment.begin(options(region=REGION))


DOMAIN = ("chat.example.com", "arn:aws:acm:us-east-1:123456789012:certificate/1-2-3")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"max_hosts": 50}, "--max-hosts 50 is refused"),
        ({"min_hosts": 5}, "--min-hosts 5 is more than --max-hosts 4"),
        ({"max_hosts": 2}, "--min-hosts 3 is more than --max-hosts 2"),
        ({"domain": "example"}, "--domain example is refused"),
        ({"domain": DOMAIN[0]}, "--domain needs --certificate"),
        (dict(zip(("domain", "certificate"), DOMAIN, strict=True)), "ResourceNotFoundException"),
        (
            {"web_acl": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/1-2-3"},
            "WAFNonexistentItemException",
        ),
    ],
)
def test_what_would_fail_late(
    given: dict[str, Any], why: str, stacked: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters that AWS would refuse only after ten minutes are refused at once."""
    with pytest.raises(UnfitError) as error:
        Deployment.begin(options(region=REGION, **given))
    (sentence,) = str(error.value).splitlines()
    assert why in sentence


def test_what_the_stack_has_stays(stacked: Account) -> None:
    """Parameters that are not given are not passed on, so the stack keeps its processor."""
    begun = Deployment.begin(options(region=REGION, max_hosts=3))
    assert begun.parameters == {"MaxHosts": "3"}
    assert begun.architecture == "x86_64"


@pytest.mark.parametrize("there", [True, False])
def test_engine_that_cannot_build(
    there: bool, stacked: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that cannot build for the processor is reported first, if it has to build."""
    monkeypatch.setattr(emulation, "unable", lambda *_: "docker cannot.")
    if there:
        monkeypatch.setattr(Repository, "digest", lambda *_: "sha256:1")
        Deployment.begin(options(region=REGION))
    else:
        with pytest.raises(UnfitError, match=r"docker cannot\."):
            Deployment.begin(options(region=REGION))


class Outcomes:
    """`sam deploy`, which fails for each of these reasons in turn, and then succeeds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *reasons: str) -> None:
        self.tries = 0
        self._reasons = [*reasons]
        monkeypatch.setattr(sam, "deploy", self._deploy)
        monkeypatch.setattr(Stack, "failure", lambda *_: self._reasons.pop(0))

    def _deploy(self, *_: object) -> None:
        self.tries += 1
        if self._reasons:
            raise sam.DeployError("sam has ended with status 1.")


ROLE = "Cluster (AWS::ECS::Cluster): Unable to assume the service linked role."


@pytest.mark.parametrize(
    ("reasons", "tries", "why"),
    [
        ((), 1, None),
        ((ROLE,), 2, None),
        ((ROLE, ROLE), 2, "Unable to assume"),
        (("Edge: Your account must be verified before",), 1, "AWS Support"),
        (("HostService: It is full.",), 1, "Correct that, and run scripts/deploy again"),
    ],
)
def test_second_try(
    reasons: tuple[str, ...],
    tries: int,
    why: str | None,
    stacked: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a transient failure is retried, and only once."""
    outcomes = Outcomes(monkeypatch, *reasons)
    monkeypatch.setattr(outcome, "check_data", lambda stack: {})
    deployment = Deployment("sidepath", {"MinHosts": "3"}, stacked, Engine("docker"), "arm64")
    if why:
        with pytest.raises(StepError, match=why):
            deployment._deploy("image")
    else:
        deployment._deploy("image")
    assert outcomes.tries == tries


def test_roles_without_permission(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deployer who may not create service-linked roles gets a message, and can go on."""
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "No."}}, "ListRoles")
    monkeypatch.setattr(service_roles, "make", Mock(side_effect=refused))
    Deployment("sidepath", {}, account, Engine("docker"), "arm64")._make_roles()
    assert "Leaving them to AWS: No." in capsys.readouterr().err


def test_build_that_fails(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed build is reported, with how to build for another processor."""
    folder = install(tmp_path / "bin")
    (folder / "broken").write_text("build")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StepError) as error:
        Deployment("sidepath", {}, account, Engine.find(), "arm64").run()
    assert str(error.value).startswith("Building the image for linux/arm64 failed.")
    assert "docker build ended with status 1" in str(error.value)
    assert "exec format error" in str(error.value)
    assert "docker run --privileged --rm tonistiigi/binfmt" in str(error.value)


def test_base_without_a_digest(
    nothing: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If the base's digest cannot be looked up, the image is built on its tag."""
    (tmp_path / "socket_host").mkdir()
    (tmp_path / "socket_host/Dockerfile").write_text("ARG BASE=python:3\nFROM ${BASE}\n")
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    assert str(deploying._base()) == "python:3"
    output = capsys.readouterr().err
    assert "The digest of python:3 cannot be looked up" in output
    assert "built on whatever that tag" in output


def test_base_with_a_digest(nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the Dockerfile has a digest, none is looked up."""
    base = f"python:3@sha256:{'a' * 64}"
    (tmp_path / "socket_host").mkdir()
    (tmp_path / "socket_host/Dockerfile").write_text(f"ARG BASE={base}\nFROM ${{BASE}}\n")
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    assert str(deploying._base()) == base


def test_arguments_become_parameters() -> None:
    """Arguments become parameters, and the other parameters keep their values."""
    assert deploying._parameters(options()) == {}
    given = options(
        architecture="x86_64",
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
        "Architecture": "x86_64",
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
    """An unreachable address is retried, and finally reported as deployed."""
    monkeypatch.setattr(deploying, "_NAME_TRIES", 2)
    monkeypatch.setattr(deploying, "_NAME_PAUSE", 0)
    with pytest.raises(StackError, match="https://localhost:1 is deployed, but scripts/doctor"):
        deploying._examine("https://localhost:1")


def test_arguments_of_doctor(stacked: Account) -> None:
    """Doctor gets the page and the session that were given."""
    given = options(page="/about", session="session=a=b", namespace="/hall", region=REGION)
    visit = ("--page=/about", "--session=session=a=b", "--namespace=/hall")
    assert Deployment.begin(given).visit == visit
    assert Deployment.begin(options(region=REGION)).visit == ()
