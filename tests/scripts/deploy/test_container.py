"""With a container engine: the image runs as in the cloud, and the function under sam local.

Without a working engine, or access to images, these are skipped, and the summary says why.
"""

import asyncio
import json
import os
import platform
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from functions.model.settings import settings as yours
from scripts import ROOT
from scripts.commands.deploy.engine import Engine, NoEngineError
from scripts.commands.pin.base import Base
from tests.infra.templates import with_architecture
from tests.kit.clients import clients
from tests.kit.hosts import ORIGIN, SECRET, own_texts, token
from tests.scripts.deploy.deployed import copy_project
from tests.scripts.deploy.dockerfile import instructions
from tests.scripts.dev import sam_local
from tests.scripts.dev.project import running

pytestmark = pytest.mark.together("sam")

PATIENCE = 300  # seconds: an image may have to be downloaded first

# Prints the user, and the results of writing beside the code and to the root.
TRIES = """
import os
print(os.getuid())
for file in ("/app/written", "/written"):
    try:
        open(file, "w")
    except OSError as error:
        print(error.strerror)
"""

PROCESSOR = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}
MACHINE = PROCESSOR.get(platform.machine(), platform.machine())


@pytest.fixture(scope="module")
def engine() -> Engine:
    """A running engine that can get the base image."""
    try:
        found = Engine.find()
    except NoEngineError as error:
        pytest.skip(f"no container was run. {error}")
    base = str(Base.read(ROOT))
    if subprocess.run([found.program, "image", "inspect", base], capture_output=True).returncode:
        pulled = subprocess.run([found.program, "pull", base], capture_output=True, text=True)
        if pulled.returncode:
            (*_, why) = pulled.stderr.strip().splitlines() or ["it does not say why"]
            pytest.skip(f"no container was run. {base} cannot be had: {why}")
    return found


@pytest.fixture(scope="module")
def image(engine: Engine) -> Iterator[str]:
    """The image, built for this machine."""
    name = f"sidepath-test:{uuid.uuid4().hex[:8]}"
    engine.build(name, f"linux/{MACHINE}", Base.read(ROOT))
    yield name
    subprocess.run([engine.program, "rmi", "--force", name], check=True, capture_output=True)


async def ask(address: str) -> tuple[int, str]:
    """The first response from an address."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        while True:
            try:
                async with http.get(address) as answer:
                    return answer.status, await answer.text()
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.1)


@pytest.fixture
def container(engine: Engine, image: str) -> Iterator[str]:
    """A container as in the task, with a read-only root and no capabilities.

    The image itself sets the unprivileged user.
    """
    settings = {
        "SESSION_SECRET": SECRET,
        "PUBLIC_ORIGIN": ORIGIN,
        **own_texts(Path("/tmp"), yours),
        "AWS_DEFAULT_REGION": "eu-west-1",
        "MAX_CONNECTIONS": "500",
    }
    given = [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
    confined = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
    command = [engine.program, "run", "--detach", "--publish", "127.0.0.1::3200", *confined, *given]
    id_ = subprocess.run([*command, image], check=True, capture_output=True, text=True).stdout
    yield id_.strip()
    subprocess.run([engine.program, "rm", "--force", id_.strip()], check=True, capture_output=True)


@pytest.fixture
async def host(engine: Engine, container: str) -> str:
    """The address of the host in the container, once it is healthy."""
    mapped = await output(engine, "port", container, "3200/tcp")
    address = f"http://{mapped.splitlines()[0]}"
    assert (await ask(f"{address}/health"))[0] == 200
    return address


async def output(engine: Engine, *words: str) -> str:
    """The output of an engine's command, which must succeed."""
    process = await asyncio.create_subprocess_exec(
        engine.program, *words, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, words
    return printed.decode().strip()


async def test_image_runs(engine: Engine, container: str, host: str) -> None:
    """Confined as in the cloud, the image passes its health check, and sockets work."""
    (check,) = instructions("HEALTHCHECK")
    await output(engine, "exec", container, *json.loads(check.partition("CMD ")[2]))
    async with clients() as made:
        client = await made.connect(host, token("Ada"))
        assert "error" in await client.call(
            "an-event-that-nobody-has"
        )  # a response, though an error


async def test_image_is_confined(engine: Engine, container: str, host: str) -> None:
    """The host is an unprivileged user, and cannot write to the image."""
    user, *refused = (await output(engine, "exec", container, "python", "-c", TRIES)).splitlines()
    assert user == "10001"
    assert refused == ["Read-only file system"] * 2


async def test_sbom_of_the_image(engine: Engine, container: str, host: str) -> None:
    """The SBOM in the image lists what is installed, and its label names the base."""
    bill = json.loads(await output(engine, "exec", container, "cat", "/app/sbom.json"))
    listed = {component["name"]: component["version"] for component in bill["components"]}
    printed = await output(engine, "exec", container, "pip", "list", "--format", "json")
    assert listed == {
        p["name"].replace("_", "-").lower(): p["version"] for p in json.loads(printed)
    }
    label = '{{index .Config.Labels "org.opencontainers.image.base.name"}}'
    assert await output(engine, "inspect", "-f", label, container) == str(Base.read(ROOT))


async def test_container_stops(engine: Engine, container: str, host: str) -> None:
    """The host in the container stops when it is asked to."""
    await output(engine, "stop", "--time", "30", container)
    assert await output(engine, "inspect", "-f", "{{.State.ExitCode}}", container) == "0"


@pytest.fixture
async def docker_api(engine: Engine, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Environment variables with which sam finds the engine, through Docker's API."""
    if engine.program != "podman":
        yield {}
        return
    api = tmp_path / "api"
    command = ("podman", "system", "service", "--time", "0", f"unix://{api}")
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(PATIENCE):
            while not api.exists():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.05)
        yield {"DOCKER_HOST": f"unix://{api}"}
    finally:
        process.terminate()
        await process.wait()


def named(engine: Engine) -> list[str]:
    """Define this machine's name in containers, for engines without samconfig.toml's way."""
    if engine.program != "podman":
        return []
    gateway = "{{range .Subnets}}{{.Gateway}}{{end}}"
    command = ["podman", "network", "inspect", "podman", "--format", gateway]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return ["--add-host", f"host.docker.internal:{found}"]


@asynccontextmanager
async def start_api(
    project: Path, port: int, environ: dict[str, str], words: list[str]
) -> AsyncIterator[str]:
    """`sam local start-api` with the built function, for this machine's processor."""
    process = await asyncio.create_subprocess_exec(
        *("scripts/sam", "local", "start-api", "--port", str(port), *words),
        cwd=project,
        env=os.environ | environ,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Path:
    """A copy of the project with a function built for this machine's processor."""
    project = copy_project(tmp_path / "project")
    sam_local.move(project)
    template = project / "infra/template.yaml"
    architecture = {"amd64": "x86_64"}.get(MACHINE, MACHINE)
    template.write_text(with_architecture(template.read_text(), architecture))
    subprocess.run(["scripts/sam", "build"], cwd=project, check=True)
    return project


async def test_sam_local(
    engine: Engine, project: Path, docker_api: dict[str, str], unused_tcp_port: int
) -> None:
    """scripts/dev gets pages from sam local, which runs the built function in Lambda's image.

    The first page reads the host's data.
    """
    async with (
        start_api(project, unused_tcp_port, docker_api, named(engine)) as pages,
        running(project, "--pages", pages) as dev,
    ):
        await ask(pages)  # it may take a while to start
        status, page = await ask(f"{dev.url}/")
    assert status == 200
    assert "<!doctype html>" in page.lower()
