"""Your app for tests: a host with your namespaces, in this process or its own, and your pages."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from functions.app import handler
from functions.model.settings import settings as declared
from socket_host.app import SocketHost
from socket_host.events import namespaces
from tests.kit import hosts, lambda_events
from tests.kit.hosts import HostProcess, own, own_texts


def serving(folder: Path, **changes: Any) -> AbstractAsyncContextManager[SocketHost]:
    """A host in this process with your namespaces and its data in a folder; stopped at the end."""
    return hosts.serving(folder, *namespaces, **{"own": own(folder, declared)} | changes)


def environ(folder: Path, **changes: str) -> dict[str, str]:
    """The settings of a host's process with your namespaces and its data in a folder."""
    return hosts.environ(folder, **own_texts(folder, declared) | changes)


def host_process(settings: Mapping[str, str]) -> AbstractAsyncContextManager[HostProcess]:
    """`python -m socket_host`, killed at the end if still running; call `ready` or `ended`."""
    return hosts.host_process(settings, "socket_host")


def invoke(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """The response of your pages to an event of `tests.kit.lambda_events`."""
    return lambda_events.invoke(event, context, handler)
