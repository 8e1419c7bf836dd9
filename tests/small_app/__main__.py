"""A socket host with the small app: `python -m tests.small_app`."""

import sys

from socket_host.__main__ import main
from tests.small_app.events import namespaces
from tests.small_app.model.settings import settings

if __name__ == "__main__":
    sys.exit(main(namespaces, settings))
