"""The parts of scripts/deploy and scripts/destroy, one by one, and what they say when they fail."""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from scripts import packages
from scripts.cloud import arguments, bundle, stack
from scripts.cloud import deploy as deploying
from scripts.cloud import destroy as destroying
from scripts.cloud.account import Account, NoProfileError
from scripts.cloud.bundle import BundleError, Target
from scripts.cloud.command import CommandError, run
from scripts.cloud.deploy import Deployment, UnfitError
from scripts.cloud.engine import Engine, NoEngineError
from scripts.cloud.image import Image
from scripts.cloud.repository import Repository
from scripts.cloud.stack import Stack
from scripts.cloud.step import StackError, StepError, step
from tests.engine import install

ROOT = Path(__file__).parent.parent
REGION = "eu-west-1"
NOWHERE = "http://127.0.0.1:1"  # nothing listens there


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no credentials, no region, and an empty folder for a PATH."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # or it is waited for
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        yield Account.find(None, REGION)


def options(**changes: Any) -> argparse.Namespace:
    names = ("region", "profile", "min_hosts", "max_hosts", "domain", "certificate", "web_acl")
    return argparse.Namespace(stack="sidepath", **dict.fromkeys((*names, "keep_data")) | changes)


# ---- What is missing ----


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


def test_engine_that_does_not_run(nothing: Path) -> None:
    """An engine that is installed but silent is named, with its own words."""
    program = nothing / "podman"
    program.write_text("#!/bin/sh\necho Cannot connect to Podman. >&2\nexit 125\n")
    program.chmod(0o755)
    with pytest.raises(NoEngineError, match=r"podman .* does not run: Cannot connect to Podman\."):
        Engine.find()


def test_unknown_profile(nothing: Path) -> None:
    """A profile that is not there is named."""
    with pytest.raises(NoProfileError, match="no profile work"):
        Account.find("work", REGION)


class Refusing:
    """A session with credentials that AWS does not take."""

    region_name = REGION

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_credentials(self) -> str:
        return "some"

    def client(self, *_: str, **__: str) -> "Refusing":
        return self

    def get_caller_identity(self) -> None:
        raise self._error


EXPIRED = ClientError({"Error": {"Message": "The token has expired", "Code": "Expired"}}, "Get")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EXPIRED, "AWS refuses the credentials: The token has expired. Log in again"),
        (EndpointConnectionError(endpoint_url="https://sts"), "cannot be asked who you are"),
    ],
)
def test_credentials_that_do_not_work(error: Exception, words: str) -> None:
    """Credentials that AWS refuses, or that it cannot be asked about, are said with its words."""
    (sentence,) = Account(Refusing(error), None).missing()
    assert words in sentence


# ---- Steps ----


def test_step_in_awss_own_words() -> None:
    """A step that AWS refuses says its name, the operation, AWS's words, and what to do."""
    with pytest.raises(StepError) as error, step("Looking", "Look again."):
        raise EXPIRED
    assert str(error.value).splitlines() == [
        "Looking has failed.",
        "  Why: Get: The token has expired (Expired)",
        "  What to do: Look again.",
    ]


def test_program_that_is_missing() -> None:
    """A program that is not there, or that fails, is named."""
    with pytest.raises(CommandError, match="no-such-program does not run"):
        run(["no-such-program"])
    with pytest.raises(CommandError, match=r"^false now has ended with status 1"):
        run(["false", "now"])


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
        keep_data=False,
    )
    assert deploying._parameters(given) == {
        "MinHosts": "1",
        "MaxHosts": "8",
        "Domain": "a.test",
        "Certificate": "arn",
        "WebAcl": "another",
        "DataOnDelete": "Delete",
    }


@pytest.mark.parametrize("name", ["Upper", "under_score", "1st", "two--hyphens", "a" * 41, ""])
def test_names_of_stacks(name: str) -> None:
    """A name that the image's repository could not have is refused before anything begins."""
    with pytest.raises(SystemExit):
        arguments.parser("scripts/deploy", "").parse_args(["--stack", name])


def test_site_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is not reached is tried again, and in the end said to be deployed."""
    monkeypatch.setattr(deploying, "_NAME_TRIES", 2)
    monkeypatch.setattr(deploying, "_NAME_PAUSE", 0)
    with pytest.raises(StackError, match="https://localhost:1 is deployed, but scripts/doctor"):
        deploying._examine("https://localhost:1")


# ---- Image and repository ----


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What an image is made of, to be changed."""
    for name in ("functions/contract", "functions/model", "socket_host", "infra"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in (".dockerignore", "requirements.txt", "scripts/supply/sbom.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "same"),
    [
        ("socket_host/events/chat.py", False),
        ("socket_host/Dockerfile", False),
        ("functions/contract/session.py", False),
        ("requirements.txt", False),
        ("scripts/supply/sbom.py", False),
        ("socket_host/__pycache__/events.pyc", True),
        ("functions/pages/rooms.py", True),
    ],
)
def test_image_is_known_by_its_content(tree: Path, file: str, same: bool) -> None:
    """The image's tag changes with what goes into it, and with nothing else."""
    before = Image.read(tree)
    (tree / file).parent.mkdir(exist_ok=True)
    with (tree / file).open("a") as changed:
        changed.write("# A change.\n")
    assert (Image.read(tree) == before) == same


def test_image_is_for_the_tasks_processor(tree: Path) -> None:
    """The platform is what the template's task names, and part of the tag."""
    before = Image.read(tree)
    assert before.platform == "linux/arm64"
    template = tree / "infra/template.yaml"
    template.write_text(template.read_text().replace("ARM64", "X86_64"))
    after = Image.read(tree)
    assert after.platform == "linux/amd64"
    assert after.tag != before.tag


def test_repository(account: Account) -> None:
    """The repository keeps tags as they are, scans images, forgets old ones; made and gone once."""
    ecr = account.client("ecr")
    repository = Repository(ecr, "chat")
    assert repository.make() == repository.make()
    (made,) = ecr.describe_repositories()["repositories"]
    assert made["repositoryName"] == "sidepath/chat"
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    policy = ecr.get_lifecycle_policy(repositoryName="sidepath/chat")["lifecyclePolicyText"]
    assert json.loads(policy)["rules"][0]["selection"]["countNumber"] == 10
    assert repository.digest("none") is None
    assert [repository.delete(), repository.delete()] == [True, False]


# ---- The stack ----


class Formation:
    """CloudFormation with one stack, which is in one status after the other."""

    def __init__(self, *statuses: str, events: list[dict[str, str]] | None = None) -> None:
        self._statuses = list(statuses)
        self._events = events or []
        self.deleted = 0

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - AWS's own name
        if not self._statuses:
            raise ClientError({"Error": {"Message": f"{StackName} does not exist"}}, "Describe")
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return {"Stacks": [{"StackId": "id", "StackStatus": status}]}

    def delete_stack(self, StackName: str) -> None:  # noqa: N803 - AWS's own name
        self.deleted += 1

    def get_paginator(self, _: str) -> "Formation":
        return self

    def paginate(self, StackName: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - AWS's own name
        yield {"StackEvents": self._events}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_PAUSE", 0)


def event(name: str, status: str, reason: str = "") -> dict[str, str]:
    return {
        "EventId": name + status,
        "StackId": "id",
        "PhysicalResourceId": "id" if name == "chat" else name,
        "LogicalResourceId": name,
        "ResourceType": "AWS::A::Kind",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_first_failure_is_the_reason() -> None:
    """Of several failures in the last operation the first counts, not what it made others do."""
    events = [
        event("Late", "CREATE_FAILED", "Too late"),
        event("Edge", "CREATE_FAILED", "Resource creation cancelled"),
        event("Hosts", "CREATE_FAILED", "No such image"),
        event("chat", "CREATE_IN_PROGRESS", "User Initiated"),
        event("Old", "CREATE_FAILED", "Long ago"),
    ]
    stack = Stack(Formation("ROLLBACK_COMPLETE", events=events), "chat")
    assert stack.failure() == "Hosts (AWS::A::Kind): No such image"
    assert stack.failure(stack.last_event()) is None  # nothing has happened since


def test_operation_under_way_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A deployment that another one has begun is waited for, and not begun twice."""
    formation = Formation("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    Stack(formation, "chat").settle()
    assert formation.deleted == 0
    assert "waiting until that has ended" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["REVIEW_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"])
def test_stack_that_can_be_changed(status: str) -> None:
    """A stack that only waits for a change, or went back from one, is left alone."""
    formation = Formation(status)
    Stack(formation, "chat").settle()
    assert formation.deleted == 0


def test_stack_that_never_came_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    """What a failed first deployment has left is deleted, for nothing else can be done with it."""
    formation = Formation("ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")
    Stack(formation, "chat").settle()
    assert formation.deleted == 1
    assert "deleting it, to begin anew" in capsys.readouterr().err


def test_deletion_that_fails() -> None:
    """A stack that cannot be deleted says which resource stays, and why."""
    events = [event("Rooms", "DELETE_FAILED", "In use")]
    formation = Formation("CREATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED", events=events)
    with pytest.raises(StackError, match=r"Rooms \(AWS::A::Kind\): In use"):
        Stack(formation, "chat").delete()


def test_no_stack() -> None:
    """Where there is no stack there is nothing to read, to wait for or to delete."""
    none = Stack(Formation(), "chat")
    none.settle()
    assert (none.outputs(), none.parameters()) == ({}, {})
    assert (none.last_event(), none.failure()) == (None, None)
    assert not none.delete()


@pytest.mark.parametrize("typed", ["", "sidepat\n", "yes\n"])
def test_nothing_goes_without_its_name(
    typed: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where something else than the stack's name is typed, nothing is deleted."""
    Repository(account.client("ecr"), "sidepath").make()
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    monkeypatch.setattr("sys.argv", ["scripts/destroy", "--region", REGION])
    with pytest.raises(SystemExit, match="Nothing is deleted"):
        destroying.main()
    assert account.client("ecr").describe_repositories()["repositories"]


# ---- The zip ----


def test_zip_without_set_up(tmp_path: Path) -> None:
    """Without the socket client there is no zip, but a sentence."""
    target = Target.read(ROOT / "infra/template.yaml")
    with pytest.raises(BundleError, match=r"socket.io.esm.min.js is missing.* Run scripts/setup"):
        bundle.bundle(tmp_path / "zip", target, root=tmp_path)


def test_makefile_without_set_up(tmp_path: Path) -> None:
    """Without .venv, make says what to run."""
    done = subprocess.run(
        ["make", "--makefile", ROOT / "functions/Makefile", "build-Pages"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert "Run scripts/setup first" in done.stderr


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A project with next to nothing in it that goes into a zip."""
    (tmp_path / "functions/web/static").mkdir(parents=True)
    (tmp_path / bundle.CLIENT).touch()
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "package-lock.json").write_text('{"packages": {}}')
    return tmp_path


def entry(package: str, file: str) -> str:
    """What a list of ours has of a package."""
    found = re.search(rf"^{package}==.*\n(?: .*\n)+", (ROOT / file).read_text(), re.MULTILINE)
    assert found
    return found[0]


def without_uv(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(packages.importlib.util, "find_spec", lambda name: None)


def without_a_registry_for_uv(patch: pytest.MonkeyPatch) -> None:
    for name, value in {"DEFAULT_INDEX": NOWHERE, "NO_CACHE": "1", "HTTP_RETRIES": "0"}.items():
        patch.setenv(f"UV_{name}", value)


@pytest.mark.parametrize(
    ("hinder", "processor"),
    [
        (lambda patch: None, "x86_64"),
        (without_uv, "aarch64"),
        (without_a_registry_for_uv, "aarch64"),
    ],
)
def test_packages_for_another_machine(
    hinder: Callable[[pytest.MonkeyPatch], None],
    processor: str,
    sources: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packages come for the Python and the processor asked for, by pip where uv gets none."""
    hinder(monkeypatch)
    pin = entry("markupsafe", "functions/requirements.txt")
    (sources / "functions/requirements.txt").write_text(pin)
    bundle.bundle(sources / "zip", Target("3.13", processor), root=sources)
    compiled = [file.name for file in (sources / "zip").rglob("*.so")]
    assert compiled == [f"_speedups.cpython-313-{processor}-linux-gnu.so"]


def test_package_without_a_wheel(sources: Path) -> None:
    """A package that cannot be had for the function's processor is said in one sentence."""
    pin = entry("pywin32", "tests/requirements.txt").replace("; sys_platform == 'win32' ", "")
    (sources / "functions/requirements.txt").write_text(pin)
    with pytest.raises(BundleError, match=r"not installed for Python 3.13 on aarch64; .* wheel"):
        bundle.bundle(sources / "zip", Target("3.13", "aarch64"), root=sources)


@pytest.mark.parametrize("change", [("python3.13", "nodejs24.x"), ("[arm64]", "[riscv]")])
def test_target_that_cannot_be_built_for(change: tuple[str, str], tmp_path: Path) -> None:
    """A runtime or processor that wheels are not known for is refused with what is known."""
    template = tmp_path / "template.yaml"
    template.write_text((ROOT / "infra/template.yaml").read_text().replace(*change))
    with pytest.raises(BundleError, match="arm64 or x86_64"):
        Target.read(template)
