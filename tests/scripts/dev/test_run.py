"""`scripts/dev --run NAME` runs any function now."""

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scripts.commands.dev.functions import Functions, FunctionSettings, QueueEvent, Timer
from scripts.commands.dev.run import RunError, relay_address, relaying, run_now
from scripts.commands.dev.schedule import parse
from tests.scripts.dev.edges import PATIENCE

HANDLER = """
import os

def handler(event, context):
    if event == "fail":
        raise LookupError("no such thing")
    return {"event": event, "name": context.function_name, "own": os.environ.get("OWN")}
"""


@pytest.fixture
def functions(tmp_path: Path) -> Functions:
    """The edge's function and three others, in one module."""
    (tmp_path / "workpiece.py").write_text(HANDLER)
    variables = {"PYTHONPATH": str(tmp_path), "TABLE": None}

    def settings(name: str, *timers: Timer, queues: tuple[QueueEvent, ...] = ()) -> Any:
        return FunctionSettings("workpiece.handler", PATIENCE, 128, name, variables, timers, queues)

    others = [
        settings("Nightly", Timer("Night", parse("rate(1 day)"))),
        settings("Mailer", queues=(QueueEvent("Mails"),)),
        settings("Other"),
    ]
    return Functions(
        settings("Pages"),
        {each.name: each for each in others},
        problems=("Broken is left out: it is.",),
    )


async def result(
    functions: Functions, name: str, capsys: pytest.CaptureFixture[str], file: Path | None = None
) -> Any:
    await run_now(functions, name, file, {"OWN": "the site's"}, plain=True)
    return json.loads(capsys.readouterr().out)


async def test_usual_events(functions: Functions, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an event, a function gets its usual one, and its result is printed."""
    nightly = await result(functions, "Nightly", capsys)
    assert nightly["event"]["detail-type"] == "Scheduled Event"
    assert (nightly["name"], nightly["own"]) == ("sidepath-Nightly", None)
    mailer = await result(functions, "Mailer", capsys)
    assert [record["body"] for record in mailer["event"]["Records"]] == ["{}"]
    assert (await result(functions, "Other", capsys))["event"] == {}
    pages = await result(functions, "Pages", capsys)
    assert pages["event"]["requestContext"]["http"]["path"] == "/"
    assert pages["own"] == "the site's"


async def test_event_from_a_file(
    functions: Functions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--event reads the event from a file."""
    file = tmp_path / "event.json"
    file.write_text('{"a": ["é"]}')
    assert (await result(functions, "Other", capsys, file))["event"] == {"a": ["é"]}


async def test_missing_variables(functions: Functions, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that only the cloud can fill in is named."""
    await run_now(functions, "Other", None, {}, plain=True)
    assert "No value here for TABLE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("Others", None, "no function Others. The template has Pages, Nightly, Mailer, Other."),
        ("Broken", None, "Broken is left out: it is."),
        ("Other", "{", "is not JSON"),
        ("Other", '"fail"', "Other failed: LookupError: no such thing"),
    ],
)
async def test_refused(
    functions: Functions, tmp_path: Path, name: str, text: str | None, sentence: str
) -> None:
    """A function that cannot run, or that fails, is reported in one sentence."""
    file = tmp_path / "event.json"
    if text:
        file.write_text(text)
    with pytest.raises(RunError, match=sentence):
        await run_now(functions, name, file if text else None, {}, plain=True)


async def test_no_such_event(functions: Functions, tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(RunError, match="cannot be read: No such file"):
        await run_now(functions, "Other", tmp_path / "none", {}, plain=True)


def test_relay(tmp_path: Path) -> None:
    """A function that is run by hand reaches a running site with the same data."""
    assert relay_address(tmp_path / "data") == ""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/bus"
        with relaying(tmp_path / "data", address):
            assert relay_address(tmp_path / "data") == address
        assert relay_address(tmp_path / "data") == ""
        with suppress(LookupError), relaying(tmp_path / "data", address):
            listener.close()
            assert relay_address(tmp_path / "data") == ""  # left by a killed site
            raise LookupError
