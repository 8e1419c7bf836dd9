"""A host with one `once` task: `python -m tests.socket_host.once_host`.

It reports to the port LEDGER when it begins and when it acts, with its lease's number, and pauses
in between if the reply says so.
"""

import asyncio
import os
import signal
import socket
import sys
import threading

from functions.contract.setting import Setting
from socket_host.__main__ import main
from socket_host.lease import keeper
from socket_host.namespace import Namespace, every

keeper.LEASE_SECONDS, keeper.RENEW_SECONDS, keeper.WATCH_SECONDS = 2.0, 0.4, 0.2

CONTINUED = threading.Event()  # set when the stopped process continues

SETTINGS = [Setting("NAME", "who this is"), Setting("LEDGER", "the port of the ledger", parse=int)]


class Worker(Namespace):
    """Does its work on one host."""

    @every(0.05, once=True)
    async def work(self, number: int) -> None:
        # In a thread, which cannot be cancelled, like a write in progress.
        await asyncio.to_thread(self._work, number)

    def _work(self, number: int) -> None:
        if self._tell("begins", number) == "stop":
            # In the thread that writes the lease, so that the process is not stopped during a
            # transaction, which would keep the file locked.
            self.lease._thread.submit(os.kill, os.getpid(), signal.SIGSTOP).result()
            CONTINUED.wait()  # other threads may run for a moment before all stop
        self._tell("acts", number)

    def _tell(self, what: str, number: int) -> str:
        own = self.settings.own
        with socket.create_connection(("127.0.0.1", own["LEDGER"])) as ledger:
            ledger.sendall(f"{what} {own['NAME']} {number}\n".encode())
            return ledger.makefile().readline().strip()


if __name__ == "__main__":
    signal.signal(signal.SIGCONT, lambda *_: CONTINUED.set())
    sys.exit(main([Worker], SETTINGS))
