"""Storms: failures while people write, with random choices from a seeded source."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random

import boto3

from functions.contract.bus import Topic
from functions.contract.redis_address import Address
from socket_host.bus.queue import HostQueue
from socket_host.bus.redis_connection import Connection
from tests.chaos.site import Site
from tests.chaos.wire import Wire
from tests.kit.buses import Redis

CHANNEL = "socketio"  # between hosts


@dataclass
class Weather:
    """A site, and all the parts of it that a storm can disturb."""

    site: Site
    chance: Random
    bus: Wire  # between hosts and Redis, or AWS
    wires: list[Wire]  # each between a page and the edge
    redis: Redis | None = None
    topic: Topic | None = None  # where the bus is SNS
    repeated: int = field(default=0)  # messages that the bus has repeated


async def kill(weather: Weather) -> None:
    """A host is killed as by kill -9, or a lack of memory."""
    await weather.site.kill(weather.chance.choice(weather.site.hosts))


async def roll(weather: Weather) -> None:
    """All hosts are replaced one after another, as by a deployment."""
    for host in weather.site.hosts:
        await weather.site.kill(host, signal.SIGTERM)


async def lose_redis(weather: Weather) -> None:
    """Redis hangs for a moment, then dies and is started again, empty."""
    redis = weather.redis
    assert redis
    redis.signal(signal.SIGSTOP)
    await _while(weather, 0.2, 0.6)
    redis.signal(signal.SIGCONT)
    await _while(weather, 0.1, 0.3)
    await redis.stop()
    await _while(weather, 0.3, 1.5)
    await redis.start()
    await weather.site.well()


async def hang_redis(weather: Weather) -> None:
    """Redis hangs for longer than the hosts' timeout."""
    assert weather.redis
    weather.redis.signal(signal.SIGSTOP)
    await _while(weather, 6, 8)
    weather.redis.signal(signal.SIGCONT)
    await weather.site.well()


async def repeat_and_delay(weather: Weather) -> None:
    """The bus delays messages and repeats them, some much later."""
    weather.bus.delay = lambda: weather.chance.choice([0, 0, 0.02, 0.2])
    async with _echo(weather):
        await _while(weather, 2, 3)
    weather.bus.delay = lambda: 0


async def cut(weather: Weather) -> None:
    """Half of the pages' networks are cut or fall silent, and recover."""
    for wire in weather.chance.sample(weather.wires, len(weather.wires) // 2):
        weather.chance.choice([wire.cut, wire.silence])()
        await _while(weather, 0, 0.3)
    await _while(weather, 0.5, 2.5)  # longer than a page waits for a ping, or not
    for wire in weather.wires:
        wire.heal(forget=weather.chance.random() < 0.3)


async def disturb(weather: Weather) -> None:
    """The bus repeats and delays messages while networks are cut."""
    async with asyncio.TaskGroup() as group:
        group.create_task(repeat_and_delay(weather))
        group.create_task(cut(weather))


async def disturb_sns(weather: Weather) -> None:
    """SNS repeats and delays messages while a host is killed and restarted."""
    async with asyncio.TaskGroup() as group:
        group.create_task(repeat_and_delay(weather))
        group.create_task(kill(weather))


async def everything(weather: Weather) -> None:
    """One failure after another, some at the same time."""
    async with _echo(weather), asyncio.TaskGroup() as group:
        group.create_task(cut(weather))
        group.create_task(kill(weather))
        group.create_task(lose_redis(weather))
    async with asyncio.TaskGroup() as group:
        group.create_task(cut(weather))
        group.create_task(roll(weather))


STORMS: dict[str, Callable[[Weather], Awaitable[None]]] = {
    "kill": kill,
    "roll": roll,
    "redis": lose_redis,
    "hang": hang_redis,
    "repeat": repeat_and_delay,
    "cut": cut,
    "disturb": disturb,
    "sns": disturb_sns,
    "everything": everything,
}


async def _while(weather: Weather, shortest: float, longest: float) -> None:
    await asyncio.sleep(weather.chance.uniform(shortest, longest))


@asynccontextmanager
async def _echo(weather: Weather) -> AsyncIterator[None]:
    """Publish every message a second time, soon or much later."""
    task = asyncio.create_task(_repeat_by_sns(weather) if weather.topic else _repeat(weather))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(weather: Weather) -> None:
    address = Address.parse(weather.redis.setting)
    while True:
        try:
            ear, mouth = await Connection.open(address), await Connection.open(address)
            await _repeat_by(weather, ear, mouth)
        except* OSError:
            await asyncio.sleep(0.05)  # until Redis is back


async def _repeat_by(weather: Weather, ear: Connection, mouth: Connection) -> None:
    said: set[bytes] = set()
    try:
        await ear.listen(CHANNEL)
        async with asyncio.TaskGroup() as group:
            async for body in ear.messages():
                if body not in said and weather.chance.random() < 0.5:
                    said.add(body)
                    group.create_task(_later(weather, mouth, body))
    finally:
        ear.close()
        mouth.close()


async def _repeat_by_sns(weather: Weather) -> None:
    assert weather.topic
    direct = f"http://127.0.0.1:{weather.bus.to}"
    sns, sqs = (boto3.client(name, endpoint_url=direct) for name in ("sns", "sqs"))
    publish = partial(sns.publish, TopicArn=weather.topic.arn, MessageGroupId="echo")
    queue = HostQueue(weather.topic, sns, sqs)
    said: set[str] = set()
    await asyncio.to_thread(queue.open)
    try:
        while True:
            for message in await asyncio.to_thread(queue.receive, wait=True):
                await asyncio.to_thread(queue.delete, [message])
                body = message["Body"]
                if body not in said and weather.chance.random() < 0.5:
                    said.add(body)
                    again = str(uuid.uuid4())
                    await asyncio.to_thread(publish, Message=body, MessageDeduplicationId=again)
                    weather.repeated += 1
    finally:
        await asyncio.to_thread(queue.close)


async def _later(weather: Weather, mouth: Connection, body: bytes) -> None:
    await asyncio.sleep(weather.chance.choice([0, 0.01, 0.5]))
    if mouth.is_open:
        await mouth.publish(CHANNEL, [body])
        weather.repeated += 1
