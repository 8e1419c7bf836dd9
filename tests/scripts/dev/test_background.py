"""Failures in background tasks are reported."""

import asyncio

import pytest

from scripts.commands.dev import background


async def test_failure_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """A task that fails prints its purpose and its whole traceback."""

    async def fail() -> None:
        raise LookupError("no such thing")

    task = background.begin("Looking", fail())
    await asyncio.wait([task])
    output = capsys.readouterr().err
    assert output.startswith("Looking failed.")
    assert output.endswith("LookupError: no such thing\n")


async def test_end_is_not_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A task that ends, or is cancelled, prints nothing."""
    for task in (background.begin("Resting", asyncio.sleep(time)) for time in (0, 1000)):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert capsys.readouterr().err == ""


async def test_endless_work_is_restarted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Endless work is restarted after each failure."""
    monkeypatch.setattr(background, "PAUSE", 0)
    begun = 0
    third = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise LookupError(f"failure {begun}")
        third.set()
        await asyncio.sleep(1000)

    keeping = asyncio.create_task(background.keep("Working", work))
    async with asyncio.timeout(20):
        await third.wait()
    keeping.cancel()
    output = capsys.readouterr().err
    assert "failure 1" in output
    assert "failure 2" in output
