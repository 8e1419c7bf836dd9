"""Reserved names: environment variables that your settings cannot use.

A framework setting is read by `framework_setting`, so its name is in `FRAMEWORK`.
"""

import re
from collections.abc import Mapping

FRAMEWORK = frozenset(
    [
        "BIND",
        "BUS",
        "BUS_PASSWORD",
        "DRAIN_SECONDS",
        "ECS_CONTAINER_METADATA_URI_V4",
        "EVENTS_PER_SECOND",
        "EVENT_BURST",
        "FANOUT_BYTES_PER_SECOND",
        "FUNCTION_QUEUE",
        "LEASES",
        "MAX_CONNECTIONS",
        "MAX_PAYLOAD",
        "MAX_PER_ADDRESS",
        "MAX_PER_VISITOR",
        "METRIC_NAMESPACE",
        "PING_INTERVAL",
        "PING_TIMEOUT",
        "PORT",
        "PROXIES",
        "PUBLIC_ORIGIN",
        "RECOVERY_SECONDS",
        "ROOM_BYTES_PER_SECOND",
        "SESSION_SECRET",
        "STAGE",
        "TRANSPORT",
    ]
)

# What Lambda, ECS, the AWS SDK, Python or the system sets or reads.
_PLATFORM = re.compile(
    r"(AWS|ECS|LAMBDA|LC|LD|DYLD|SSL)_.*|PYTHON.*|(ALL|FTP|HTTP|HTTPS|NO)_PROXY"
    r"|HOME|HOSTNAME|LANG|LANGUAGE|LOGNAME|PATH|PWD|SHELL|TEMP|TERM|TMP|TMPDIR|TZ|USER"
)


def framework_setting(environ: Mapping[str, str], name: str) -> str:
    """Return the value of a framework setting, or an empty string if it is not set.

    Raises KeyError for a name that is not in `FRAMEWORK`.
    """
    if name not in FRAMEWORK:
        raise KeyError(name)
    return environ.get(name, "")


def reserved_by(name: str) -> str:
    """Return what reserves a name, such as "the framework", or an empty string."""
    upper = name.upper()  # some systems treat `Path` and `PATH` as the same
    if upper in FRAMEWORK:
        return "the framework"
    return "the platform" if _PLATFORM.fullmatch(upper) else ""
