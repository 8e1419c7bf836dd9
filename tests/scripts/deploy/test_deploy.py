"""The life of a stack, rehearsed: `scripts/deploy`, plain sam, and `scripts/destroy`.

sam really builds and deploys, against moto's server. The uploaded code runs, and doctor examines it
over https. Only the container engine and most of CloudFormation are stand-ins. All this happens
once; each test checks one part of it.
"""

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import ClientSession

from scripts import ROOT
from scripts.commands.deploy import architecture
from scripts.commands.deploy.account import Account
from scripts.commands.deploy.image import Image
from scripts.commands.deploy.service_roles import SERVICES
from scripts.commands.destroy.removal import destroy
from scripts.commands.dev.template import load
from scripts.yours import TEMPLATE, parts, with_parts
from tests.infra.templates import written
from tests.scripts.deploy.deployed import copy_project, site
from tests.scripts.deploy.engine import DIGEST, calls, install
from tests.scripts.deploy.policy import allowed, statements
from tests.scripts.deploy.rehearsal import ACCOUNT, BROKEN, DEPLOYER, REGION, Cloud, Kept, cloud
from tests.scripts.tls import write_certificate

pytestmark = pytest.mark.together("sam")

PATIENCE = 240  # seconds: a deadline that only a failure meets, also on a busy machine

STACK = "sidepath"
PROCESSOR = architecture.KNOWN[architecture.default(load(written()))]
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
DEPLOY = ("scripts/deploy", "--region", REGION)
# The packages in the function's requirements.txt, by import name.
REQUIRED = {
    *("anyio", "idna", "itsdangerous", "jinja2", "mangum", "markupsafe", "starlette"),
    *("typing_extensions.py", "sbom.json"),
}

CHANGED = "functions/pages/__init__.py"

# The image, and Enter for sam's other questions.
IMAGE = f"{REGISTRY}/sidepath/sidepath:by-hand"
ANSWERS = "\n" * 2 + IMAGE + "\n" * 20


@dataclass
class Run:
    """A finished program: its output, and its calls of the engine."""

    printed: str
    said: str
    status: int
    calls: list[list[str]]


@dataclass
class Stage:
    """The contents of a stack at one time of its life."""

    resources: dict[str, Any]  # their properties
    zipped: dict[str, int]  # checksum by file

    @classmethod
    def of(cls, cloud: Cloud) -> Self:
        found = cloud.stack(STACK).resource_map
        zipped = {i.filename: i.CRC for i in cloud.zipped(STACK).infolist()}
        return cls({name: getattr(r, "properties", None) for name, r in found.items()}, zipped)


def authorities() -> bytes:
    """The certificate authorities that this machine trusts, for package downloads."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else b""


# A table as a user might add it to the template.
TABLE = """
  # A table of the test's own, which stays if data is to be kept.
  Keepsakes:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: !Ref DataOnDelete
    UpdateReplacePolicy: !Ref DataOnDelete
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
"""


def declare_table(template: Path) -> None:
    """Add the table to a template."""
    text = template.read_text()
    own = parts(text)
    template.write_text(with_parts(text, own | {"resources": own["resources"] + TABLE}))


class Place:
    """A copy of the project, and a stand-in for the container engine on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = copy_project(folder / "project")
        declare_table(self.project / TEMPLATE)
        self.engine = install(folder / "bin")
        self.certificate = folder / "edge.pem"
        write_certificate(self.certificate)
        self.trusted = folder / "trusted.pem"
        self.trusted.write_bytes(self.certificate.read_bytes() + authorities())

    def files(self) -> dict[str, bytes]:
        """The project's files, except those that programs write for themselves."""
        found = {file.relative_to(self.project): file for file in self.project.rglob("*")}
        return {
            str(name): file.read_bytes()
            for name, file in found.items()
            if file.is_file() and not {".aws-sam", ".sidepath", "__pycache__"} & {*name.parts}
        }

    async def run(self, *command: str, typed: str = "") -> Run:
        """Run one of the project's scripts."""
        path = f"{self.engine}{os.pathsep}{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.project,
            env=os.environ
            | {"PATH": path, "SSL_CERT_FILE": str(self.trusted), "SAM_CLI_POLL_DELAY": "0.5"}
            | {"AWS_ACCESS_KEY_ID": DEPLOYER},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                printed, said = await process.communicate(typed.encode())
        finally:
            with suppress(ProcessLookupError):  # kill its children too
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode is not None
        return Run(printed.decode(), said.decode(), process.returncode, calls(self.engine))


@dataclass
class Life:
    """What happened, in this order, with the states in between."""

    place: Place
    deployed: Run
    page: str
    kept: Run
    first: Stage
    image: Image
    failed: Run
    changed: Run
    second: Stage
    hosts: int  # number of running hosts
    before: dict[str, list[str]]
    destroyed: Run
    after: dict[str, list[str]]
    guided: Run
    third: Stage
    edited: dict[str, bytes]  # files that have changed
    roles: set[str]  # services with a service-linked role
    called: set[str]  # all calls


async def live(place: Place, cloud: Cloud) -> Life:
    """Deploy; keep data; deploy a change of both halves, which fails; deploy that of one by plain
    sam; destroy; answer sam's questions.
    """
    deployed, page, kept = await deploy(place, cloud)
    first = Stage.of(cloud)
    image = Image.read(place.project, PROCESSOR.name)
    cloud.hosts[STACK] = 3  # as set by autoscaling
    for name in (CHANGED, "socket_host/events/__init__.py"):
        file = place.project / name
        file.write_text(file.read_text() + "\n# A change.\n")
    cloud.sick = True
    failed = await place.run(*DEPLOY)
    cloud.sick = False
    changed = await place.run("scripts/sam", "deploy", "--parameter-overrides", "MinHosts=1")
    second = Stage.of(cloud)
    hosts = cloud.hosts[STACK]
    leave_things(cloud)
    before = cloud.stock()
    destroyed = await place.run("scripts/destroy", "--region", REGION, typed=f"{STACK}\n")
    after = cloud.stock()
    destroy(Account.find(None, REGION), STACK)  # a second time is no error
    files = place.files()
    guided = await place.run("scripts/sam", "deploy", "--guided", typed=ANSWERS)
    assert guided.status == 0, guided.said
    edited = dict(place.files().items() - files.items())
    found = cloud.client("iam").list_roles(PathPrefix="/aws-service-role/")["Roles"]
    roles = {role["Path"].split("/")[2] for role in found}
    return Life(
        *(place, deployed, page, kept, first, image, failed, changed, second, hosts),
        *(before, destroyed, after, guided, Stage.of(cloud), edited, roles, cloud.calls),
    )


async def deploy(place: Place, cloud: Cloud) -> tuple[Run, str, Run]:
    """Deploy, serve the result at its address as soon as it exists, and fetch a page.

    Then deploy again, only to keep the data.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    domain = f"localhost:{listener.getsockname()[1]}"
    Kept.attributes["AWS::CloudFront::Distribution.DomainName"] = domain
    deploying = asyncio.create_task(place.run(*DEPLOY))
    making = asyncio.create_task(asyncio.to_thread(cloud.made.wait, PATIENCE))
    await asyncio.wait([deploying, making], return_when=asyncio.FIRST_COMPLETED)
    if deploying.done():
        cloud.made.set()  # lets the thread end
        pytest.fail(deploying.result().said)
    async with site(cloud, STACK, place.folder, listener), ClientSession() as session:
        run = await deploying
        trust = ssl.create_default_context(cafile=str(place.certificate))
        async with session.get(run.printed.strip(), ssl=trust) as answer:
            page = await answer.text()
        # An empty value removes an existing domain.
        return run, page, await place.run(*DEPLOY, "--keep-data", "--domain=", "--certificate=")


def leave_things(cloud: Cloud) -> None:
    """Things that a killed host leaves, and another stack's files in sam's bucket."""
    topic = cloud.outputs(STACK)["BusTopic"].rpartition(":")[2].removesuffix(".fifo")
    fifo = {"FifoQueue": "true"}
    cloud.client("sqs").create_queue(QueueName=f"{topic}-host-1.fifo", Attributes=fifo)
    (bucket,) = cloud.stock()["buckets"]
    cloud.client("s3").put_object(Bucket=bucket, Key=f"{STACK}-2/zip", Body=b"another's")


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
    assert tops - {"functions"} == REQUIRED
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
