"""The limit on open files: each connection needs one."""

import contextlib
import logging

_log = logging.getLogger(__name__)

_OTHERS = 100  # open files besides connections


def allow(connections: int) -> int:
    """Raise the limit for these connections as far as the system allows; warn if it is too low.

    Many systems start a process with a limit of 1,024, which it may raise. Returns the number of
    connections that are possible.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    needed = connections + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = (resource.RLIM_INFINITY, -1)
    if soft in unlimited or soft >= needed:
        return connections
    allowed = needed if hard in unlimited else min(needed, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses more than its own bound
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    if soft < needed:
        _log.warning(
            "This process may open only %d files, but %d connections need %d."
            " Raise its limit (ulimit -n), or lower MAX_CONNECTIONS.",
            soft,
            connections,
            needed,
        )
    return min(connections, max(1, soft - _OTHERS))
