"""The stateful half's entry point: reads the settings and runs the host."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from functions.contract.setting import Setting, StartError
from functions.model.settings import settings as declared
from socket_host import log_limit, open_files
from socket_host.app import create_app
from socket_host.events import namespaces
from socket_host.namespace import Namespace
from socket_host.settings import Settings
from socket_host.transport.connections import RESERVE


def main(namespaces: Sequence[type[Namespace]], declared: Sequence[Setting]) -> int:
    """Run a host with the environment's settings; return the process's exit status."""
    log_limit.install()
    try:
        settings = Settings.from_environ(os.environ, declared)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve(settings, namespaces))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop if it is installed: it has no wheels for Windows."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def serve(settings: Settings, namespaces: Sequence[type[Namespace]]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal cuts the drain short.

    A signal during the start cancels it. In ECS, the drain also begins when ECS starts to stop the
    task, long before it sends a signal.
    """
    loop, starting = asyncio.get_running_loop(), asyncio.current_task()
    assert starting
    cancel = starting.cancel
    loop.set_exception_handler(log_limit.unhandled)
    reporting = loop.create_task(log_limit.LIMIT.keep_reporting())
    stopping = asyncio.Event()
    started = False

    def stop() -> None:
        if not started:
            cancel()
        elif stopping.is_set():
            host.hurry()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # on Windows, where Ctrl-C ends the process
            loop.add_signal_handler(number, stop)
    host = create_app(settings, namespaces)
    try:
        await host.start()
    except asyncio.CancelledError:
        if stopping.is_set():
            return
        raise
    started = True
    host.connections.most = open_files.allow(host.connections.most + RESERVE) - RESERVE
    bind = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    print(f"Socket host listening on http://{bind}:{host.port}", flush=True)
    watching = loop.create_task(_watch_task(settings.ecs_metadata, stopping))
    await stopping.wait()
    await host.drain()
    await host.stop()
    for task in (watching, reporting):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch_task(metadata: str, stopping: asyncio.Event) -> None:
    """Set the event when ECS begins to stop the host's task, if it runs in one."""
    if metadata:
        # Imported only in ECS: boto3 takes as long as the rest of the host.
        from socket_host.ecs_task import wait_for_stop

        await wait_for_stop(metadata)
        stopping.set()


if __name__ == "__main__":
    sys.exit(main(namespaces, declared))
