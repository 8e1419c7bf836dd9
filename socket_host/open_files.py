"""The limit on open files, of which each connection is one."""

import contextlib
import logging

_log = logging.getLogger(__name__)

_OTHERS = 100  # what a host has open besides connections


def allow(connections: int) -> None:
    """Raise the limit as far as these connections need and the system lets us; warn if it is low.

    Many systems start a process with a limit of 1,024 that it may raise by itself.
    """
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return
    needed = connections + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = (resource.RLIM_INFINITY, -1)
    if soft in unlimited or soft >= needed:
        return
    allowed = needed if hard in unlimited else min(needed, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses more than its own bound
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    if soft < needed:
        _log.warning(
            "MAX_CONNECTIONS is %d, but the system lets this process open %d files only.",
            connections,
            soft,
        )
