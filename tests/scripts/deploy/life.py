"""A rehearsal of a stack's life: the real `scripts/deploy`, `sam deploy` and `scripts/destroy`.

sam builds and deploys for real, against moto's server. The uploaded code then runs, and doctor
examines it over https. Only the container engine and most of CloudFormation are stand-ins.
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

PATIENCE = 240  # seconds: a deadline that even a busy machine meets

STACK = "sidepath"
PROCESSOR = architecture.KNOWN[architecture.default(load(written()))]
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
DEPLOY = ("scripts/deploy", "--region", REGION)
CHANGED = "functions/pages/__init__.py"

# Answers to sam's questions: the image, and Enter for all others.
IMAGE = f"{REGISTRY}/sidepath/sidepath:by-hand"
ANSWERS = "\n" * 2 + IMAGE + "\n" * 20


@dataclass
class Run:
    """A program that has ended: its stdout and stderr, its status, and its calls of the engine."""

    printed: str
    said: str
    status: int
    calls: list[list[str]]


@dataclass
class Stage:
    """The contents of a stack at one point in its life."""

    resources: dict[str, Any]  # properties, by name
    zipped: dict[str, int]  # checksums, by file

    @classmethod
    def of(cls, cloud: Cloud) -> Self:
        found = cloud.stack(STACK).resource_map
        zipped = {i.filename: i.CRC for i in cloud.zipped(STACK).infolist()}
        return cls({name: getattr(r, "properties", None) for name, r in found.items()}, zipped)


def authorities() -> bytes:
    """The certificate authorities that this machine trusts, needed to fetch packages."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else b""


# An addition to your part of the template.
TABLE = """
  # The test's own table, which is kept with --keep-data.
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


def install_npm(folder: Path) -> None:
    """Have npm build nothing, because the copy has none of your front end's sources."""
    npm = folder / "npm"
    npm.write_text('#!/bin/sh\n[ "$1 $2 $3" = "run --silent build" ]\n')
    npm.chmod(0o755)


class Place:
    """A copy of the project, and stand-ins for the container engine and npm on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = copy_project(folder / "project")
        declare_table(self.project / TEMPLATE)
        self.engine = install(folder / "bin")
        install_npm(self.engine)
        self.certificate = folder / "edge.pem"
        write_certificate(self.certificate)
        self.trusted = folder / "trusted.pem"
        self.trusted.write_bytes(self.certificate.read_bytes() + authorities())

    def files(self) -> dict[str, bytes]:
        """The project's files, without those that programs create for themselves."""
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
            with suppress(ProcessLookupError):  # its children must not outlive it either
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode is not None
        return Run(printed.decode(), said.decode(), process.returncode, calls(self.engine))


@dataclass
class Life:
    """The programs' results, in the order they ran, and the stack's contents in between."""

    place: Place
    deployed: Run
    page: str
    kept: Run
    first: Stage
    image: Image
    failed: Run
    changed: Run
    second: Stage
    hosts: int  # running after the change
    before: dict[str, list[str]]
    destroyed: Run
    after: dict[str, list[str]]
    guided: Run
    third: Stage
    edited: dict[str, bytes]  # files that the guided deployment changed
    roles: set[str]  # AWS services with a service-linked role
    called: set[str]  # calls of AWS by all programs


async def live(place: Place, cloud: Cloud) -> Life:
    """Take a stack through its life.

    Deploy; keep data; deploy a change to both halves, which fails; deploy one half's change with
    plain sam; destroy; deploy again with the answers to sam's questions.
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
    add_leftovers(cloud)
    before = cloud.stock()
    destroyed = await place.run("scripts/destroy", "--region", REGION, typed=f"{STACK}\n")
    after = cloud.stock()
    destroy(Account.find(None, REGION), STACK)  # already deleted, which is not a failure
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
    """Deploy, with the site running at its address as soon as the stack exists; fetch a page.

    Then deploy again, only to keep the data.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    domain = f"localhost:{listener.getsockname()[1]}"
    ATTRIBUTES["AWS::CloudFront::Distribution.DomainName"] = domain
    deploying = asyncio.create_task(place.run(*DEPLOY))
    making = asyncio.create_task(asyncio.to_thread(cloud.made.wait, PATIENCE))
    await asyncio.wait([deploying, making], return_when=asyncio.FIRST_COMPLETED)
    if deploying.done():
        cloud.made.set()  # otherwise the thread would keep waiting
        pytest.fail(deploying.result().said)
    async with site(cloud, STACK, place.folder, listener), ClientSession() as session:
        run = await deploying
        trust = ssl.create_default_context(cafile=str(place.certificate))
        async with session.get(run.printed.strip(), ssl=trust) as answer:
            page = await answer.text()
        # An empty value removes the domain and the certificate, if there are any.
        return run, page, await place.run(*DEPLOY, "--keep-data", "--domain=", "--certificate=")


def add_leftovers(cloud: Cloud) -> None:
    """Add a queue left by a killed host, and another stack's file in sam's shared bucket."""
    topic = cloud.outputs(STACK)["BusTopic"].rpartition(":")[2].removesuffix(".fifo")
    fifo = {"FifoQueue": "true"}
    cloud.client("sqs").create_queue(QueueName=f"{topic}-host-1.fifo", Attributes=fifo)
    (bucket,) = cloud.stock()["buckets"]
    cloud.client("s3").put_object(Bucket=bucket, Key=f"{STACK}-2/zip", Body=b"another's")
