"""pytest's configuration: sets the environment, groups modules, and leaves out the long tests.

The environment is set here because some modules read it when they are imported.
"""

import atexit
import gc
import os
import random
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import get_args

import botocore.loaders
import pytest
from xdist.scheduler import LoadScopeScheduling

from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import Half, SettingError, read_settings
from functions.model.settings import settings as yours
from tests.kit.hosts import own_texts
from tests.long_form import is_long

pytest_plugins = ["tests.kit.fixtures"]

# All sessions of boto3 share its descriptions of AWS's services, which are megabytes of JSON.
botocore.loaders.create_loader = cache(botocore.loaders.create_loader)

_folder = tempfile.mkdtemp(prefix="sidepath-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["STAGE"] = "development"
os.environ["SESSION_SECRET"] = SAMPLE_SECRET
os.environ.update(own_texts(Path(_folder)))
_problems: set[str] = set()
try:
    os.environ.update(own_texts(Path(_folder), yours))
    for half in get_args(Half):
        _problems.update(read_settings(yours, half, os.environ)[1])
except SettingError as error:
    _problems.add(str(error))


def pytest_configure() -> None:
    """Stop with a message if one of your settings is missing or malformed."""
    if _problems:
        raise pytest.UsageError(" ".join(sorted(_problems)))


@pytest.fixture(scope="module", autouse=True)
def _collector() -> None:
    """Leave what earlier modules have loaded out of garbage collection.

    Some load so much that the collector would take a fifth of the time of all tests.
    """
    gc.set_threshold(20_000)
    gc.collect()
    gc.freeze()


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types for it
    """Sends each test to any free worker, but all tests of a group to the same one.

    The group marks of xdist 3.8 do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _group(self.config.rootpath / nodeid.partition("::")[0]) or nodeid


@cache
def _group(module: Path) -> str | None:
    """Return a module's group, read from its text: the controller does not import it."""
    found = re.search(
        r'^pytestmark = \[?pytest\.mark\.together\("(\w+)"\)', module.read_text(), re.M
    )
    return found and found[1]


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a chaos test repeats its failures."""
    return 4 if is_long(request.config) else 1


@pytest.fixture
def seed() -> int:
    """The seed of all random choices; set CHAOS_SEED=N to repeat a run."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    print(f"To repeat this run: CHAOS_SEED={seed}")  # pytest shows it if the test fails
    return seed


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless they are selected."""
    if not is_long(config):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of the long tests."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "counts":
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)
