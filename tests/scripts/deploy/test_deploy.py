"""Deploying, changing and destroying a stack, rehearsed once; each test checks one part of it."""

import asyncio
import re
import subprocess

import pytest

from scripts import ROOT
from scripts.commands.deploy.service_roles import SERVICES
from scripts.commands.pin import lists
from tests.scripts.deploy.engine import DIGEST
from tests.scripts.deploy.life import (
    CHANGED,
    IMAGE,
    PROCESSOR,
    REGISTRY,
    STACK,
    Life,
    Place,
    live,
)
from tests.scripts.deploy.policy import allowed, statements
from tests.scripts.deploy.rehearsal import ACCOUNT, BROKEN, cloud

pytestmark = pytest.mark.together("sam")

# What the function's requirements.txt brings, by the names that are imported.
REQUIRED = {
    *("anyio", "idna", "itsdangerous", "jinja2", "mangum", "markupsafe", "starlette"),
    *("typing_extensions.py", "sbom.json"),
}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    subprocess.run([ROOT / "scripts/sam"], check=True)
    with cloud() as made:
        return asyncio.run(live(Place(tmp_path_factory.mktemp("place")), made))


# ---- Deploying ----


def test_address_is_printed(life: Life) -> None:
    """Deploying prints only the address on stdout."""
    assert life.deployed.status == 0, life.deployed.said
    assert re.fullmatch(r"https://localhost:\d+\n", life.deployed.printed)


def test_failure_in_awss_own_words(life: Life) -> None:
    """A failed deployment names the step, the first resource that failed, why, and what to do."""
    assert life.failed.status == 1, life.failed.said
    assert life.failed.printed == ""
    step, why, advice = life.failed.said.splitlines()[-3:]
    assert step.startswith("Deploying the stack sidepath")
    assert why == f"  Why: HostService (AWS::Some::Resource): {BROKEN}"
    assert "docs/deploy.md" in advice


def test_doctor_finds_nothing_wrong(life: Life) -> None:
    """Doctor examines the deployed site over https, and all checks pass."""
    assert re.search(r"checks in .* ok, 0 FAILED", life.deployed.said), life.deployed.said


def test_image_is_built_and_pushed(life: Life) -> None:
    """The image is built for the task's processor and pushed; the password is no argument."""
    reference = f"{REGISTRY}/sidepath/sidepath:{life.image.tag}"
    build, login, push = life.deployed.calls
    assert build[:3] == ["build", "--tag", reference]
    assert build[build.index("--platform") + 1] == PROCESSOR.platform
    assert build[build.index("--build-arg") + 1] == f"BASE=python:3.13-slim@{DIGEST}"
    assert login[:4] == ["login", "--username", "AWS", "--password-stdin"]
    assert login[4:] == [REGISTRY, f"{ACCOUNT}-auth-token"]
    assert push == ["push", reference, ""]


def test_unchanged_image_is_not_pushed_again(life: Life) -> None:
    """An image that is in the repository is neither built nor pushed."""
    assert life.kept.calls == []
    assert "The image is up to date" in life.kept.said


def test_host_runs_the_pushed_image(life: Life) -> None:
    """The task refers to the image by the registry's digest."""
    (container,) = life.first.resources["HostTask"]["ContainerDefinitions"]
    name, _, digest = container["Image"].partition("@")
    assert name == f"{REGISTRY}/sidepath/sidepath"
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)


def test_arguments_become_parameters(life: Life) -> None:
    """Arguments set the stack's parameters; the others have their defaults."""
    assert life.first.resources["HostCount"]["MinCapacity"] == 2
    assert life.first.resources["HostCount"]["MaxCapacity"] == 4


# ---- The function's zip ----


def test_zip_serves_a_page(life: Life) -> None:
    """The uploaded zip serves pages under AWS's runtime client, without the project."""
    assert "<!doctype html>" in life.page.lower()
    assert "socket.io.esm.min" in life.page


def test_zip_holds_what_pages_need(life: Life) -> None:
    """The zip has the packages and the socket client, but no bytecode or boto3."""
    names = life.first.zipped
    assert {"functions/app.py", "functions/web/static/socket.io.esm.min.js"} <= names.keys()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops >= REQUIRED | {"functions"}
    if not lists.pins((ROOT / "requirements.txt").read_text()):  # no packages of yours
        assert tops == REQUIRED | {"functions"}
    assert not [n for n in names if "__pycache__" in n or n.endswith(("Makefile", ".pyc", ".lock"))]


def test_zip_is_for_the_templates_processor(life: Life) -> None:
    """Compiled modules in the zip are for the template's Python and processor."""
    compiled = [name for name in life.first.zipped if name.endswith(".so")]
    assert compiled
    end = f".cpython-313-{PROCESSOR.wheels}-linux-gnu.so"
    assert all(name.endswith(end) for name in compiled)


# ---- Changing ----


def test_plain_sam_changes_the_stack(life: Life) -> None:
    """`sam deploy` uses samconfig.toml, and keeps the other parameters."""
    assert life.changed.status == 0, life.changed.said
    assert life.second.resources["HostCount"]["MinCapacity"] == 1


def test_rollback(life: Life) -> None:
    """Hosts that did not become healthy change neither the task nor the number of hosts."""
    assert life.second.resources["HostTask"] == life.first.resources["HostTask"]
    assert life.hosts == 3


def test_change_is_published(life: Life) -> None:
    """A changed page is in the new zip, alone, and in a new version that the API calls."""
    changed = dict(life.second.zipped.items() - life.first.zipped.items())
    assert list(changed) == [CHANGED]
    versions = [
        {n for n in stage.resources if n.startswith("PagesVersion")}
        for stage in (life.first, life.second)
    ]
    assert [len(v) for v in versions] == [1, 1]
    assert versions[0] != versions[1]


# ---- Destroying ----


def test_destroying_leaves_nothing(life: Life) -> None:
    """Stack, images, zips and queues are deleted; sam's bucket stays for the other stack."""
    assert life.destroyed.status == 0, life.destroyed.said
    assert life.before["stacks"] == ["aws-sam-cli-managed-default", STACK]
    assert life.after["stacks"] == ["aws-sam-cli-managed-default"]
    assert life.after["objects"] == [f"{STACK}-2/zip"]
    for kind in ("repositories", "queues", "topics"):
        assert life.before[kind]
        assert life.after[kind] == []


def test_keeping_data_alone_is_a_change(life: Life) -> None:
    """With only --keep-data, the deployment lists what will be kept."""
    assert life.kept.status == 0, life.kept.said
    assert re.search(r"If the stack is deleted, these are kept: .*\bKeepsakes\b", life.kept.said)
    assert "No changes to deploy" not in life.kept.said


def test_data_that_is_kept_is_named(life: Life) -> None:
    """Data to keep still exist, and destroying lists them."""
    said = re.findall(r"Kept because of --keep-data: (\w+), (.+?)\.", life.destroyed.said)
    assert "Keepsakes" in dict(said)
    assert sorted(dict(said).values()) == sorted(life.after["tables"])


# ---- Permissions ----


def test_services_have_their_roles(life: Life) -> None:
    """Service-linked roles that a new account lacks are created first."""
    assert set(SERVICES) <= life.roles


def test_policy_allows_every_call(life: Life) -> None:
    """docs/deployer-policy.json allows all calls of deploying and destroying."""
    assert {"cloudformation:ExecuteChangeSet", "s3:PutObject"} <= life.called
    direct = [statement for statement in statements() if "aws:CalledVia" not in str(statement)]
    assert not {call for call in life.called if not allowed(call, direct)}


# ---- By hand ----


def test_guided_by_enter(life: Life) -> None:
    """`sam deploy --guided` creates the stack from the image and Enter to all other questions."""
    assert life.guided.status == 0, life.guided.said
    (container,) = life.third.resources["HostTask"]["ContainerDefinitions"]
    assert container["Image"] == IMAGE


def test_guided_saves_answers_only(life: Life) -> None:
    """samconfig.toml gets the answers, and its other contents stay."""
    assert list(life.edited) == ["samconfig.toml"]
    saved = life.edited["samconfig.toml"].decode()
    assert f'Image=\\"{IMAGE}\\"' in saved
    for line in (ROOT / "samconfig.toml").read_text().splitlines():
        assert line in saved
