"""What scripts/dev shares with `sam local`, so that pages and sockets have one store and one bus.

`python -m scripts.commands.dev.sam_local` prints the function's settings as JSON, for `sam local
start-api --env-vars`. The function runs in a container, which reaches this machine by a host name.
On a fixed port, scripts/dev forwards the function's emits to the host, and its other requests to
the stand-in for AWS.
"""

import contextlib
import json
import re
import socket
import struct
import sys
from typing import Any

from functions.contract.bus import LOOPBACK_PATH
from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import development
from functions.model.settings import settings as declared
from scripts import ROOT
from scripts.commands.dev.aws import KEYS, REGION, tables
from scripts.commands.dev.listeners import PortError
from scripts.commands.dev.template import load

PORT = 3002
MACHINE = "host.docker.internal"

DATA = "/tmp"  # the only folder that a function can write to

# The networks through which containers on Linux reach this machine; localhost is their own.
_BRIDGES = ("docker0", "podman0", "cni-podman0")
# Podman's network exists only while a container runs, and scripts/dev starts before the first.
_PODMAN = "10.88.0.1"
# Linux's option to listen on an address that does not exist yet, which Python does not name.
_IP_FREEBIND = 15
_GET_ADDRESS = 0x8915  # SIOCGIFADDR


def settings(template: str) -> dict[str, str]:
    """Return the function's settings, with the table names in the text of a template."""
    here = f"http://{MACHINE}:{PORT}"
    own = [setting for setting in declared if "function" in setting.halves]
    return (
        development(own, DATA)
        | _stores(template)
        | {
            "STAGE": "development",
            "SESSION_SECRET": SAMPLE_SECRET,
            "BUS": here + LOOPBACK_PATH,
            "AWS_ENDPOINT_URL": here,
        }
    )


def host_environ(template: str, aws: str) -> dict[str, str]:
    """Return the settings that the host shares with the function, and those for AWS."""
    shared = {name: value for name, value in settings(template).items() if name != "BUS"}
    return shared | KEYS | {"AWS_ENDPOINT_URL": aws, "AWS_DEFAULT_REGION": REGION}


def listen() -> list[socket.socket]:
    """Return sockets on the port, for this machine and its containers, or raise PortError."""
    try:
        listeners = [socket.create_server(("127.0.0.1", PORT))]
    except OSError as error:
        raise PortError(
            f"Port {PORT}, which the function's container connects to, cannot be used: "
            f"{error.strerror}. Stop the program that uses it, such as another scripts/dev --pages."
        ) from None
    for address in bridges():
        with contextlib.suppress(OSError):  # this network may not be needed
            listeners.append(_listen(address))
    return listeners


def _listen(address: str) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((address, PORT))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def bridges() -> set[str]:
    """Return this machine's addresses in its containers' networks; none except on Linux."""
    if not sys.platform.startswith("linux"):
        return set()
    import fcntl

    found = {_PODMAN}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for name in _BRIDGES:
            with contextlib.suppress(OSError):  # there is no such network
                asked = struct.pack("256s", name.encode())
                answer = fcntl.ioctl(asking.fileno(), _GET_ADDRESS, asked)
                found.add(socket.inet_ntoa(answer[20:24]))
    return found


def _stores(template: str) -> dict[str, str]:
    """Return the declared settings that refer to a table, with the references resolved."""
    variables = load(template)["Resources"]["Pages"]["Properties"]["Environment"]["Variables"]
    names = tables(template).keys()
    found = {s.name: _filled_in(variables.get(s.name), names) for s in declared}
    return {name: value for name, value in found.items() if value}


def _filled_in(value: Any, names: Any) -> str:
    """Return a value with its references to tables resolved; empty if it has none."""
    match value:
        case {"Ref": str(name)} if name in names:
            return name
        case {"Fn::Sub": str(text)}:
            used = re.findall(r"\${([^}]*)}", text)
            if used and all(name in names for name in used):
                return re.sub(r"\${([^}]*)}", r"\1", text)
    return ""


if __name__ == "__main__":
    print(json.dumps({"Pages": settings((ROOT / "infra/template.yaml").read_text())}, indent=2))
