"""What a rehearsal has deployed, running: the uploaded zip, a host, and the edge in front of them.

Everything comes from the cloud, as CloudFormation would provide it: behaviours, the zip's contents,
both halves' environments. Only what a single machine lacks is replaced.
"""

import asyncio
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from scripts import ROOT
from scripts.commands.blank.blanking import blank
from scripts.commands.dev.environment import Environment
from scripts.commands.dev.function import Function
from scripts.commands.dev.invocation import Invocation
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.origins import FunctionOrigin
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.runtime_api import serving
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST, Template, load
from scripts.yours import TEMPLATE
from tests.infra.templates import SOURCE
from tests.kit.hosts import SECRET, host_process
from tests.scripts.deploy.rehearsal import REGION, Cloud
from tests.scripts.dev import project
from tests.scripts.dev.edges import running
from tests.scripts.tls import https

PATIENCE = 120  # seconds: a deadline that only a failure meets, beside a deployment at work

# What Lambda's Python has in addition to the standard library: the runtime client, and boto3.
IN_LAMBDA = (
    *("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py"),
    *("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"),
)


class Lambda:
    """The uploaded zip under AWS's runtime client, without any other files of this project."""

    def __init__(self) -> None:
        self._invocations: asyncio.Queue[Invocation] = asyncio.Queue()

    async def invoke(self, event: Any) -> Any:
        invocation = Invocation(json.dumps(event).encode(), seconds=10)
        self._invocations.put_nowait(invocation)
        return await invocation.result

    @asynccontextmanager
    async def running(
        self, code: Path, handler: str, environ: dict[str, str]
    ) -> AsyncIterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "{}:{}".format(*listener.getsockname())
            async with serving(Environment(self._invocations), listener):
                process = await asyncio.create_subprocess_exec(
                    *(bare_python(), "-S", "-m", "awslambdaric", handler),
                    cwd=code,
                    env=environ | {"AWS_LAMBDA_RUNTIME_API": address},
                )
                try:
                    yield
                finally:
                    process.kill()
                    await process.wait()


def bare_python() -> str:
    """The Python of .venv, without its packages."""
    return str(getattr(sys, "_base_executable", sys.executable))


def lambda_packages(folder: Path) -> Path:
    """A folder with the packages of Lambda's Python, and no others."""
    folder.mkdir()
    for name in IN_LAMBDA:
        found = importlib.util.find_spec(name)
        assert found, name
        assert found.origin, name
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


class Host:
    """The only host behind the load balancer."""

    sockets = True

    def __init__(self, url: str, proxy: Proxy) -> None:
        self._url = url
        self._proxy = proxy

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        return await self._proxy.answer(viewer, request, self._url)


def behaviours(cloud: Cloud, stack: str) -> Template:
    """The deployed edge's behaviours, from its resolved properties."""
    kinds = {"Edge": "AWS::CloudFront::Distribution", "Pages": "AWS::Serverless::Function"}
    resources = {
        name: {"Type": kind, "Properties": cloud.resource(stack, name).properties}
        for name, kind in kinds.items()
    }
    # moto creates a target group of its own, but does not show its properties.
    resources["Hosts"] = load(SOURCE.read_text())["Resources"]["Hosts"]
    return Template.parse(json.dumps({"Resources": resources}))


def function_environ(cloud: Cloud, stack: str) -> dict[str, str]:
    """The function's settings, with the reference to the secret resolved."""
    variables = cloud.resource(stack, "Pages").properties["Environment"]["Variables"]
    secret = cloud.resource(stack, "SessionSecret").physical_resource_id
    reference = f"{{{{resolve:secretsmanager:{secret}}}}}"
    return {name: value.replace(reference, SECRET) for name, value in variables.items()}


def host_environ(cloud: Cloud, stack: str) -> dict[str, str]:
    """A host's settings as in the task, except the address and limits of this machine."""
    (container,) = cloud.resource(stack, "HostTask").properties["ContainerDefinitions"]
    here = {"BIND": "127.0.0.1", "PORT": "0", "MAX_CONNECTIONS": "500"}
    # moto leaves AWS::NoValue in lists.
    secrets = {secret["Name"]: SECRET for secret in container["Secrets"] if secret}
    # CloudFormation passes on a parameter of the type Number as text, which moto does not.
    own = {setting["Name"]: str(setting["Value"]) for setting in container["Environment"]}
    return own | secrets | here


@asynccontextmanager
async def site(
    cloud: Cloud, stack: str, folder: Path, listener: socket.socket
) -> AsyncIterator[None]:
    """The whole stack of a cloud, over https on a listening socket; `folder` has the project."""
    code = folder / "task"
    cloud.zipped(stack).extractall(code)
    packages = str(lambda_packages(folder / "lambda"))
    keys = cloud.environ | {"AWS_DEFAULT_REGION": REGION}
    pages = Lambda()
    handler = cloud.resource(stack, "Pages").properties["Handler"]
    async with AsyncExitStack() as running_parts:
        enter = running_parts.enter_async_context
        environ = function_environ(cloud, stack) | keys | {"PYTHONPATH": packages}
        await enter(pages.running(code, handler, environ))
        host = await enter(
            host_process(
                host_environ(cloud, stack) | cloud.environ, "socket_host", folder / "project"
            )
        )
        await host.ready(PATIENCE)
        balancer = Host(host.url, await enter(Proxy()))
        origins = {FUNCTION: FunctionOrigin(cast(Function, pages)), SOCKET_HOST: balancer}
        edge = await enter(running(behaviours(cloud, stack), origins))
        await enter(https(folder, edge.port, listener))
        yield


def copy_project(folder: Path) -> Path:
    """A copy that a test may change and deploy, with the original's environments.

    It is the blank app, with your parts of the template: they are deployed too.
    """
    project.copy_project(folder)
    text = (folder / TEMPLATE).read_text()
    blank(folder)
    (folder / TEMPLATE).write_text(text)
    # Unchanged, or scripts/setup would install other packages into the original's environment.
    for name in (
        ".dockerignore",
        "samconfig.toml",
        "package.json",
        "package-lock.json",
        "requirements.txt",
    ):
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["scripts/sam"], cwd=ROOT, check=True)  # waits if it is still being installed
    for name in (".venv", ".venv-sam"):
        (folder / name).symlink_to(ROOT / name)
    return folder
