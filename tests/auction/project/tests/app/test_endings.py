"""Ended sessions are recorded in either store."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.contract.session import Session
from functions.contract.setting import StartError
from functions.model.endings import EndedSessions, Endings, oldest, open_endings
from tests.kit.aws import make_table


@pytest.fixture(params=["sqlite", "dynamodb"])
def endings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Endings]:
    place = str(tmp_path / "endings.sqlite3")
    if request.param == "dynamodb":
        request.getfixturevalue("cloud")
        place = make_table("Endings")
    endings = open_endings(f"{request.param}:{place}")
    yield endings
    endings.close()


def test_end(endings: Endings) -> None:
    """Sessions that began before the end have ended; later ones have not."""
    ended, begun = EndedSessions(endings), time.time()
    ended.end("ann")
    assert ended.is_ended(Session("ann", "Ann", claims={"auth_time": begun}))
    assert not ended.is_ended(Session("ann", "Ann", claims={"auth_time": time.time() + 1}))
    assert not ended.is_ended(Session("bob", "Bob", claims={"auth_time": begun}))
    endings.put("zoe", oldest() - 1)
    assert endings.all().keys() == {"ann"}


def test_cannot_be_opened(tmp_path: Path) -> None:
    """A file that cannot be opened causes a StartError."""
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be opened"):
        open_endings(f"sqlite:{tmp_path}/file/endings.sqlite3")
