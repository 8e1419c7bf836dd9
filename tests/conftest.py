"""Settings for what reads the environment when it is imported, before any test imports it."""

import os
import tempfile

from functions.contract.session import SAMPLE_SECRET

_folder = tempfile.mkdtemp(prefix="sidepath-tests-")
os.environ["STAGE"] = "development"
os.environ["SESSION_SECRET"] = SAMPLE_SECRET
os.environ["ROOM_LOG"] = f"sqlite:{_folder}/rooms.sqlite3"
