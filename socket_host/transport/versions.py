"""The versions of python-socketio and python-engineio that this host was written for.

The transports override and call undocumented parts of those libraries.
"""

import importlib.metadata

WRITTEN_FOR = {"python-socketio": "5.18.1", "python-engineio": "4.15.1"}


class VersionError(RuntimeError):
    """A library does not have the version that this host was written for."""


def check_versions() -> None:
    """Raise VersionError if an installed version differs from the one in WRITTEN_FOR."""
    for library, version in WRITTEN_FOR.items():
        installed = importlib.metadata.version(library)
        if installed != version:
            raise VersionError(
                f"This host was written for {library} {version}, but {installed} is installed: "
                f"install {library}=={version}."
            )
