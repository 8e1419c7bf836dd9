"""The entry point of every child of scripts/dev: `python -m scripts.commands.dev.child MODULE ...`.

It runs the module as `python -m MODULE ...` would, and ends the child when the development server
ends, for whatever reason: then the child's standard input is closed. The module itself gets an
empty standard input, so that reading from it does not block forever.
"""

import os
import runpy
import signal
import sys
import threading
import time

from scripts.commands.dev import start_failure

GRACE = 5.0  # seconds between SIGTERM and SIGKILL


def main() -> None:
    """Run the module named in the arguments."""
    parent = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with_parent, args=[parent], daemon=True).start()
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except Exception as error:
        sys.exit(start_failure.describe(error).rstrip())


def no_debugger() -> None:
    """Replace the debugger behind `breakpoint()`, because there is no terminal to type on."""
    caller = sys._getframe(1)
    print(
        f"breakpoint() in {caller.f_code.co_filename}:{caller.f_lineno} is passed over: what "
        "scripts/dev runs has no terminal. Print what you look for; or stop in a test of yours "
        "(scripts/test -n 0 -s -k NAME); or set PYTHONBREAKPOINT to a debugger that listens.",
        file=sys.stderr,
    )


def _end_with_parent(parent: int) -> None:
    while os.read(parent, 1024):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
