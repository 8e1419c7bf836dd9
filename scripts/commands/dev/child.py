"""The first code in every child of scripts/dev: `python -m scripts.commands.dev.child MODULE ...`.

Runs the module as `python -m MODULE ...` would, and sees to it that the child does not outlive the
development server, however that ends: when its standard input closes, nobody is left at the other
end.
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
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
