"""The first code in every child of scripts/dev: `python -m scripts.commands.dev.child MODULE ...`.

Runs the module as `python -m MODULE ...` would, and sees to it that the child does not outlive the
development server, however that ends: when its standard input closes, nobody is left at the other
end. The module itself reads from nowhere: whoever asks for input finds its end at once, where it
would wait for ever.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE = 5.0  # seconds to end in after SIGTERM; then the child is killed


def main() -> None:
    """Run the module that the arguments name."""
    parent = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with_parent, args=[parent], daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def no_debugger() -> None:
    """Stand in for the debugger behind `breakpoint()`, for which nobody could type here."""
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
