"""Output on the developer's terminal."""

import sys
from contextlib import suppress


def say(sentence: str) -> None:
    """Print a message on stderr, because stdout is for results, such as the site's address."""
    with suppress(OSError, ValueError):  # a closed terminal is not a reason to stop
        print(sentence, file=sys.stderr, flush=True)


def relay(name: str, line: str) -> None:
    """Print a line of a child process's output, with the child's name."""
    say(f"{name:>8} | {line}")
