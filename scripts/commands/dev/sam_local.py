"""What scripts/dev shares with `sam local`, so that pages and sockets have one store and one bus.

The function runs in a container, which finds this machine under a name and on a port that
infra/local.json has. There scripts/dev passes on what the function says to sockets, and to AWS.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from scripts.commands.dev.aws import KEYS, REGION
from scripts.commands.dev.listeners import PortError
from scripts.commands.dev.process import Process

_START_SECONDS = 60.0

_STANDING = re.compile(r"Standing in for AWS on (http://\S+)")

# The networks of containers: by these, and not by localhost, a container on Linux reaches us.
_BRIDGES = ("docker0", "podman0", "cni-podman0")
_GET_ADDRESS = 0x8915  # SIOCGIFADDR


class SamLocalError(Exception):
    """Nothing can be shared with `sam local`; the text says why and what to do."""


@dataclass(frozen=True)
class SamLocal:
    """The settings that infra/local.json gives the function."""

    settings: Mapping[str, str]
    port: int  # where the function looks for AWS, and for sockets

    @classmethod
    def read(cls, file: Path) -> Self:
        """Return what the file says, or raise SamLocalError."""
        try:
            settings = json.loads(file.read_text(encoding="utf-8"))["Pages"]
            port = urlsplit(settings["AWS_ENDPOINT_URL"]).port
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SamLocalError(f"{file} has no settings for Pages: {error!r}.") from None
        if not port:
            raise SamLocalError(f"{file}: AWS_ENDPOINT_URL must end with a port.")
        return cls(settings, port)

    def host_environ(self, aws: str) -> dict[str, str]:
        """Return the settings that the host has in common with the function."""
        shared = {name: value for name, value in self.settings.items() if name != "BUS"}
        return shared | KEYS | {"AWS_ENDPOINT_URL": aws, "AWS_DEFAULT_REGION": REGION}

    def listen(self) -> list[socket.socket]:
        """Return sockets on the port, for this machine and its containers, or raise PortError."""
        try:
            listeners = [socket.create_server(("127.0.0.1", self.port))]
        except OSError as error:
            raise PortError(
                f"Port {self.port}, where infra/local.json has the function look for this machine, "
                f"cannot be used: {error.strerror}. Put another one there, twice."
            ) from None
        for address in bridges():
            with contextlib.suppress(OSError):  # there may be no need of it
                listeners.append(socket.create_server((address, self.port)))
        return listeners


def bridges() -> list[str]:
    """Return this machine's addresses in the networks of its containers; none but on Linux."""
    if not sys.platform.startswith("linux"):
        return []
    import fcntl

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for name in _BRIDGES:
            with contextlib.suppress(OSError):  # there is no such network
                asked = struct.pack("256s", name.encode())
                answer = fcntl.ioctl(asking.fileno(), _GET_ADDRESS, asked)
                found.append(socket.inet_ntoa(answer[20:24]))
    return found


class StandIn:
    """The process that stands in for AWS."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    @classmethod
    async def start(cls, template: Path) -> Self:
        """Return it once it answers; raise SamLocalError if it does not."""
        answering: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def hear(line: str) -> None:
            if (found := _STANDING.fullmatch(line)) and not answering.done():
                answering.set_result(found[1])

        module = ["scripts.commands.dev.aws", str(template)]
        process = await Process.spawn("aws", module, {}, hear)
        ending = asyncio.create_task(process.wait())
        either: list[asyncio.Future[Any]] = [answering, ending]
        await asyncio.wait(either, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            process.kill()
            await ending
            raise SamLocalError("\n".join(process.tail) or "The stand-in for AWS did not start.")
        ending.cancel()
        return cls(process, answering.result())

    async def stop(self) -> None:
        """End it, with all that it keeps."""
        self._process.kill()
        await self._process.wait()
