"""The limit on open files, of which each connection is one."""

import contextlib
import logging

_log = logging.getLogger(__name__)

_OTHERS = 100  # what a host has open besides connections


def allow(connections: int) -> int:
    """Raise the limit as far as these connections need and the system lets us; warn if it is low.

    Many systems start a process with a limit of 1,024 that it may raise by itself. Returns how many
    connections there can be.
    """
    try:
        import resource
    except ImportError:  # Windows knows no such limit
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
            "The system lets this process open %d files only, and %d connections need %d."
            " Raise its limit (ulimit -n), or lower MAX_CONNECTIONS.",
            soft,
            connections,
            needed,
        )
    return min(connections, max(1, soft - _OTHERS))
