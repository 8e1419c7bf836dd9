"""The versions of python-socketio and python-engineio that this host was written for.

Both transports, and every bus, override and call what those libraries do not document.
"""

import importlib.metadata

WRITTEN_FOR = {"python-socketio": "5.18.1", "python-engineio": "4.15.1"}


class VersionError(RuntimeError):
    """A library is not of the version this host was written for."""


def check_versions() -> None:
    """Raise VersionError, with a sentence for whoever starts the host, if a version differs."""
    for library, version in WRITTEN_FOR.items():
        installed = importlib.metadata.version(library)
        if installed != version:
            raise VersionError(
                f"This host was written for {library} {version}, but {installed} is installed: "
                f"install {library}=={version}."
            )
