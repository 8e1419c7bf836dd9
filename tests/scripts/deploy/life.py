"""The life of a stack, rehearsed: `scripts/deploy`, plain sam, `scripts/destroy`, as they are.

sam builds and deploys for real, against moto's server. What has been uploaded then runs, and doctor
looks at it over https. Only the container engine is a stand-in, and most of CloudFormation.
"""

import asyncio
import os
import signal
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import ClientSession

from scripts.commands.deploy import architecture
from scripts.commands.deploy.account import Account
from scripts.commands.deploy.image import Image
from scripts.commands.destroy.removal import destroy
from scripts.commands.dev.template import load
from scripts.yours import TEMPLATE, parts, with_parts
from tests.infra.templates import written
from tests.scripts.deploy.deployed import copy_project, site
from tests.scripts.deploy.engine import calls, install
from tests.scripts.deploy.rehearsal import ACCOUNT, ATTRIBUTES, DEPLOYER, REGION, Cloud
from tests.scripts.tls import write_certificate

PATIENCE = 240  # seconds: a deadline that only a failure meets, also on a busy machine

STACK = "sidepath"
PROCESSOR = architecture.KNOWN[architecture.default(load(written()))]
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
DEPLOY = ("scripts/deploy", "--region", REGION)
CHANGED = "functions/pages/__init__.py"

# What somebody types who only knows the image: Enter to all else that sam asks.
IMAGE = f"{REGISTRY}/sidepath/sidepath:by-hand"
ANSWERS = "\n" * 2 + IMAGE + "\n" * 20


@dataclass
class Run:
    """A program that has ended: what it printed, said besides, and had the engine do."""

    printed: str
    said: str
    status: int
    calls: list[list[str]]


@dataclass
class Stage:
    """What a stack was made of at one time of its life."""

    resources: dict[str, Any]  # their properties
    zipped: dict[str, int]  # checksums, by file

    @classmethod
    def of(cls, cloud: Cloud) -> Self:
        found = cloud.stack(STACK).resource_map
        zipped = {i.filename: i.CRC for i in cloud.zipped(STACK).infolist()}
        return cls({name: getattr(r, "properties", None) for name, r in found.items()}, zipped)


def authorities() -> bytes:
    """The certificates that this machine believes, by which packages are fetched."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else b""


# What somebody might add to their part of the template.
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
    """Add the table to what a template has already."""
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
        """What is in the project, but for what programs keep there for themselves."""
        found = {file.relative_to(self.project): file for file in self.project.rglob("*")}
        return {
            str(name): file.read_bytes()
            for name, file in found.items()
            if file.is_file() and not {".aws-sam", ".sidepath", "__pycache__"} & {*name.parts}
        }

    async def run(self, *command: str, typed: str = "") -> Run:
        """Run a script of the project's."""
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
            with suppress(ProcessLookupError):  # what it has started must not stay either
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode is not None
        return Run(printed.decode(), said.decode(), process.returncode, calls(self.engine))


@dataclass
class Life:
    """What happened, in this order, and what there was in between."""

    place: Place
    deployed: Run
    page: str
    kept: Run
    first: Stage
    image: Image
    failed: Run
    changed: Run
    second: Stage
    hosts: int  # that run then
    before: dict[str, list[str]]
    destroyed: Run
    after: dict[str, list[str]]
    guided: Run
    third: Stage
    edited: dict[str, bytes]  # files that are not as they were before
    roles: set[str]  # the services of AWS that can act in the account
    called: set[str]  # by all of this


async def live(place: Place, cloud: Cloud) -> Life:
    """Deploy; keep data; deploy a change of both halves, which fails; deploy that of one by plain
    sam; destroy; answer sam's questions.
    """
    deployed, page, kept = await deploy(place, cloud)
    first = Stage.of(cloud)
    image = Image.read(place.project, PROCESSOR.name)
    cloud.hosts[STACK] = 3  # as autoscaling does
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
    destroy(Account.find(None, REGION), STACK)  # what is gone already is no failure
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
    """Deploy, with what was deployed behind the address from when it is there; fetch a page.

    And deploy again, to keep the data and nothing else.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    domain = f"localhost:{listener.getsockname()[1]}"
    ATTRIBUTES["AWS::CloudFront::Distribution.DomainName"] = domain
    deploying = asyncio.create_task(place.run(*DEPLOY))
    making = asyncio.create_task(asyncio.to_thread(cloud.made.wait, PATIENCE))
    await asyncio.wait([deploying, making], return_when=asyncio.FIRST_COMPLETED)
    if deploying.done():
        cloud.made.set()  # or the thread would wait on
        pytest.fail(deploying.result().said)
    async with site(cloud, STACK, place.folder, listener), ClientSession() as session:
        run = await deploying
        trust = ssl.create_default_context(cafile=str(place.certificate))
        async with session.get(run.printed.strip(), ssl=trust) as answer:
            page = await answer.text()
        # An empty one takes a domain back, where there is one.
        return run, page, await place.run(*DEPLOY, "--keep-data", "--domain=", "--certificate=")


def leave_things(cloud: Cloud) -> None:
    """What a killed host leaves, and what another stack has in the bucket that sam shares."""
    topic = cloud.outputs(STACK)["BusTopic"].rpartition(":")[2].removesuffix(".fifo")
    fifo = {"FifoQueue": "true"}
    cloud.client("sqs").create_queue(QueueName=f"{topic}-host-1.fifo", Attributes=fifo)
    (bucket,) = cloud.stock()["buckets"]
    cloud.client("s3").put_object(Bucket=bucket, Key=f"{STACK}-2/zip", Body=b"another's")
