"""A stack's bus is changed to Valkey and back, rehearsed with hosts that have its settings.

The Valkey is a real Redis with TLS and a password; topic and queues are moto's.
"""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from functions.web.emitters import open_emitter
from tests.infra.templates import SOURCE
from tests.kit import buses
from tests.kit.clients import Client, clients
from tests.kit.hosts import SECRET, host_process, own_texts, token
from tests.scripts.deploy.deployed import function_environ, host_environ
from tests.scripts.deploy.rehearsal import ACCOUNT, ATTRIBUTES, MADE, REGION, Cloud, cloud
from tests.scripts.tls import write_certificate

pytestmark = pytest.mark.together("template")

PATIENCE = 60  # seconds: a deadline that only a failure meets, also on a busy machine

STACK = "sidepath"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sidepath@sha256:{'0' * 64}"
# As uploaded by sam.
TEMPLATE = SOURCE.read_text().replace("CodeUri: ../functions", "CodeUri: s3://bucket/key")

SERVER = "AWS::ElastiCache::ReplicationGroup.PrimaryEndPoint"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr("tests.scripts.deploy.rehearsal.MADE", MADE | {"AWS::SQS::Queue"})
    with cloud() as made:
        _forget(made)
        yield made
        _forget(made)


def _forget(cloud: Cloud) -> None:
    """Empty the cloud, because moto keeps its contents while the process lives."""
    urllib.request.urlopen(f"{cloud.url}/moto-api/reset", data=b"").close()


@pytest.fixture
async def valkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """The server at the stack's address, and the file with its certificate authority."""
    certificate = tmp_path / "valkey.pem"
    write_certificate(certificate)
    redis = buses.Redis(tmp_path, ["--requirepass", SECRET])
    files = [f"--tls-{name}-file" for name in ("cert", "key", "ca-cert")]
    trust = [word for file in files for word in (file, str(certificate))]
    redis._options += ["--tls-port", str(redis.port), "--port", "0", *trust]
    redis._options += ["--tls-auth-clients", "no"]
    monkeypatch.setitem(ATTRIBUTES, f"{SERVER}.Address", "localhost")
    monkeypatch.setitem(ATTRIBUTES, f"{SERVER}.Port", str(redis.port))
    await redis.start()
    yield certificate
    await redis.stop()


def change(cloud: Cloud, kind: str, bus: str) -> None:
    """Create the stack, or change its bus, with the same change sets as scripts/deploy."""
    formation = cloud.client("cloudformation")
    parameters = {"Image": IMAGE, "BusKind": bus}
    name = f"{kind.lower()}-{bus}"
    formation.create_change_set(
        StackName=STACK,
        ChangeSetName=name,
        ChangeSetType=kind,
        TemplateBody=TEMPLATE,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    formation.execute_change_set(StackName=STACK, ChangeSetName=name)
    _decide(cloud)


def _decide(cloud: Cloud) -> None:
    """Re-evaluate conditions, because moto does not notice their changes."""
    resources = cloud.stack(STACK).resource_map
    decided = [
        name
        for name, resource in resources._resource_json_map.items()
        if "OnValkey" in json.dumps(resource)
    ]
    for name in decided:
        resources._parsed_resources.pop(name, None)
    for name in decided:
        assert resources[name] or True  # created when it is requested
    if resources["FunctionSubscription"]:
        _subscribe(cloud)


def _subscribe(cloud: Cloud) -> None:
    asked = cloud.resource(STACK, "FunctionSubscription").properties
    cloud.client("sns").subscribe(
        TopicArn=asked["TopicArn"],
        Protocol=asked["Protocol"],
        Endpoint=asked["Endpoint"],
        Attributes={"RawMessageDelivery": str(asked["RawMessageDelivery"]).lower()},
    )


@asynccontextmanager
async def host(cloud: Cloud, certificate: Path) -> AsyncIterator[tuple[str, Client]]:
    """A healthy host with the stack's settings and the small app, and a client of it."""
    environ = host_environ(cloud, STACK) | cloud.environ | {"SSL_CERT_FILE": str(certificate)}
    async with host_process(own_texts(certificate.parent) | environ) as process, clients() as made:
        await process.ready(PATIENCE)
        await healthy(process.url)
        yield process.url, await made.connect(process.url, token())


async def healthy(url: str) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        health = {"status": "unknown"}
        while health["status"] != "ok":
            async with http.get(f"{url}/health") as answer:
                health = await answer.json()


async def subscribed(cloud: Cloud, count: int) -> None:
    """Wait until this many hosts have subscribed their own queues to the topic."""
    topic = cloud.outputs(STACK)["BusTopic"]
    sns = cloud.client("sns")
    queues: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(queues) < count:
            found = await asyncio.to_thread(sns.list_subscriptions_by_topic, TopicArn=topic)
            queues = [s["Endpoint"] for s in found["Subscriptions"] if "-host-" in s["Endpoint"]]


async def emit(cloud: Cloud, *numbers: int) -> None:
    """Emit as the stack's function does; only events of the same emitter have an order."""
    emitter = open_emitter(function_environ(cloud, STACK)["BUS"], SECRET)
    for number in numbers:
        await asyncio.to_thread(emitter.emit, "numbers", number)


async def test_bus_is_changed_and_changed_back(made: Cloud, valkey: Path) -> None:
    """While hosts are replaced, functions' emits reach all clients, once and in order."""
    change(made, "CREATE", "sns")
    async with AsyncExitStack() as before:
        _, old = await before.enter_async_context(host(made, valkey))
        await subscribed(made, 1)
        change(made, "UPDATE", "valkey")
        async with host(made, valkey) as (_, one), host(made, valkey) as (_, other):
            await emit(made, 0, 1, 2)
            for client in (old, one, other):
                assert [await client.receive("numbers") for _ in range(3)] == [0, 1, 2]
            await before.aclose()
            await emit(made, 3)
            assert await one.receive("numbers") == await other.receive("numbers") == 3
            change(made, "UPDATE", "sns")
            async with host(made, valkey) as (_, new):
                await subscribed(made, 2)  # including that of the killed host
                await emit(made, 4)
                assert await one.receive("numbers") == await new.receive("numbers") == 4


async def test_hosts_reach_each_other_by_valkey(made: Cloud, valkey: Path) -> None:
    """Hosts with the stack's address and password share a bus, by TLS, without queues."""
    change(made, "CREATE", "valkey")
    assert host_environ(made, STACK)["BUS"].startswith("valkeys://localhost:")
    async with (
        host(made, valkey) as (url, _),
        host(made, valkey),
        aiohttp.ClientSession() as http,
        asyncio.timeout(PATIENCE),
    ):
        peers = 0
        while not peers:
            async with http.get(f"{url}/health") as answer:
                peers = (await answer.json())["bus"]["peers"]
    queues = made.client("sqs").list_queues().get("QueueUrls", [])
    ours = [queue.rpartition("-")[2] for queue in queues if queue.endswith(".fifo")]
    assert ours == ["functions.fifo"]
