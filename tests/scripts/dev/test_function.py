"""The function's process, under AWS's runtime client and under the simple runtime."""

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from scripts.commands.dev import environment
from scripts.commands.dev import function as function_module
from scripts.commands.dev.function import Function
from scripts.commands.dev.functions import FunctionSettings
from scripts.commands.dev.http_api import MAX_PAYLOAD
from scripts.commands.dev.invocation import FunctionError
from tests.scripts.dev.edges import PATIENCE, eventually

HAS_CLIENT = importlib.util.find_spec("awslambdaric") is not None

HANDLER = """
    import os, sys, time

    def handler(event, context):
        print("called with", event)
        match event:
            case {"wait_for": path}:
                open(path + ".begun", "w").close()
                while not os.path.exists(path):
                    time.sleep(0.01)
            case {"exit": status}:
                os._exit(status)
            case {"raise": words}:
                raise LookupError(words)
            case {"large": size}:
                return "a" * size
            case {"unspeakable": _}:
                return {1, 2}
            case {"context": names}:
                left = context.get_remaining_time_in_millis()
                return [left, *(getattr(context, name) for name in names)]
        return {"event": event, "pid": os.getpid(), "id": context.aws_request_id}
"""


class Workshop:
    """A folder with a handler, and the function that runs it."""

    def __init__(self, folder: Path, *, plain: bool, timeout: float = PATIENCE) -> None:
        self.folder = folder
        self.save(HANDLER)
        environ = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        settings = FunctionSettings("workpiece.handler", timeout, 128)
        self.function = Function(settings, environ, plain=plain)

    def save(self, code: str) -> None:
        (self.folder / "workpiece.py").write_text(dedent(code))

    async def call(self, **event: Any) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self.function.invoke(event)

    async def fails(self, **event: Any) -> FunctionError:
        """Call the function, expecting an error, and return it."""
        with pytest.raises(FunctionError) as caught:
            await self.call(**event)
        return caught.value


@pytest.fixture(autouse=True)
def one_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the limit after which another environment starts, for busy machines."""
    monkeypatch.setattr(function_module, "BUSY_SECONDS", 2 * PATIENCE)


@pytest.fixture(params=["client", "plain"])
async def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workshop]:
    """A running function, under either runtime."""
    if request.param == "client" and not HAS_CLIENT:
        pytest.skip("awslambdaric has no wheel for this system")
    workshop = Workshop(tmp_path, plain=request.param == "plain")
    workshop.function.start()
    yield workshop
    await workshop.function.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_results(workshop: Workshop) -> None:
    """Each event gets its own result, from one process, and each call has its own id."""
    answers = await asyncio.gather(*(workshop.call(number=number) for number in range(20)))
    assert [answer["event"] for answer in answers] == [{"number": n} for n in range(20)]
    assert len({answer["pid"] for answer in answers}) == 1
    assert len({answer["id"] for answer in answers}) == 20


async def test_context(workshop: Workshop) -> None:
    """The context has what Lambda documents, under either runtime."""
    named = ["function_name", "function_version", "memory_limit_in_mb", "invoked_function_arn"]
    named += ["log_group_name", "log_stream_name", "client_context"]
    left, *values, client_context = await workshop.call(context=named)
    assert 0 < left <= PATIENCE * 1000
    assert all(isinstance(value, str) and value for value in values)
    assert client_context is None


async def test_handler_raises(workshop: Workshop) -> None:
    """A handler's exception is reported with its traceback, and the process continues."""
    pid = (await workshop.call())["pid"]
    error = await workshop.fails(**{"raise": "<no such thing>"})
    assert error.status == 500
    assert error.sentence == "LookupError: <no such thing>"
    assert "workpiece.py" in error.detail
    assert error.detail.rstrip().endswith("LookupError: <no such thing>")
    assert (await workshop.call())["pid"] == pid


async def test_result_that_is_not_json(workshop: Workshop) -> None:
    """A result that JSON cannot hold is an error, and the process continues."""
    error = await workshop.fails(unspeakable=1)
    assert error.status == 500
    assert "JSON serializable" in error.sentence
    await workshop.call()


async def test_crash_while_answering(workshop: Workshop) -> None:
    """A process that ends during a request causes a 502; queued requests are still served."""
    crash = asyncio.create_task(workshop.fails(exit=3))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(workshop.call())
    error = await crash
    assert error.status == 502
    assert error.sentence == "The function ended with status 3 while it answered this request."
    await waiting


async def test_crash_shows_its_own_output(workshop: Workshop) -> None:
    """A crash is reported with the output of its own event, not of earlier ones."""
    await workshop.call(number="one")
    await workshop.call(number="two")
    error = await workshop.fails(exit=3)
    assert "'exit': 3" in error.detail
    assert "number" not in error.detail


async def test_killed_while_idle(workshop: Workshop) -> None:
    """A killed process is replaced when it is needed."""
    pid = (await workshop.call())["pid"]
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not alive(pid))
    assert (await workshop.call())["pid"] != pid


async def test_handler_that_calls_its_own_site(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one event blocks an environment, others get another one."""
    monkeypatch.setattr(function_module, "BUSY_SECONDS", 0.05)
    release = tmp_path / "release"
    calling = asyncio.create_task(workshop.call(wait_for=str(release)))
    await eventually(lambda: Path(f"{release}.begun").exists())
    inner = await workshop.call()
    release.touch()
    assert (await calling)["pid"] != inner["pid"]


async def test_environments_have_a_limit(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that wait for each other start only a limited number of environments."""
    monkeypatch.setattr(function_module, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr(function_module, "MAX_ENVIRONMENTS", 2)
    releases = [tmp_path / str(number) for number in range(3)]
    calls = [asyncio.create_task(workshop.call(wait_for=str(path))) for path in releases]
    await eventually(lambda: Path(f"{releases[1]}.begun").exists())
    releases[0].touch()
    first = (await calls[0])["pid"]
    releases[1].touch()
    releases[2].touch()
    second, third = [(await call)["pid"] for call in calls[1:]]
    assert first != second
    assert third in (first, second)


async def test_no_python(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no process can be started, events get the reason; afterwards everything works."""
    await workshop.call()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(workshop.folder / "no-python"))
        workshop.function.start()
        for _ in range(2):
            error = await workshop.fails()
            assert error.status == 502
            assert "No such file or directory" in error.sentence
        async with asyncio.timeout(PATIENCE):
            await workshop.function.settled()
    await workshop.call()


async def test_timeout(tmp_path: Path) -> None:
    """A handler that exceeds its Timeout is stopped with a 504, and the next one runs."""
    workshop = Workshop(tmp_path, plain=False, timeout=0.5)
    workshop.function.start()
    pid = (await workshop.call())["pid"]
    error = await workshop.fails(wait_for=str(tmp_path / "never"))
    assert error.status == 504
    assert "within 0.5 s, the Timeout that the template gives it" in error.sentence
    assert (await workshop.call())["pid"] != pid
    await workshop.function.stop()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def handler(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit('Set the thing.')", "SystemExit: Set the thing."),
    ],
)
async def test_broken_code(workshop: Workshop, code: str, sentence: str) -> None:
    """Code that cannot be imported answers every request with its traceback until a save."""
    await workshop.call()
    workshop.save(code)
    workshop.function.start()
    for _ in range(2):
        error = await workshop.fails()
        assert error.status == 500
        assert error.broken
        assert error.sentence.startswith(sentence)
        assert 'workpiece.py", line 1' in error.detail
        assert "importlib" not in error.detail
        assert ("scripts/pin" in error.detail) == code.startswith("import")
    workshop.save(HANDLER)
    workshop.function.start()
    await workshop.call()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "from functions.contract.setting import StartError\nraise StartError('Set the thing.')",
            "Set the thing.",
        ),
        ("x = 1", "The template says Handler: workpiece.handler, and workpiece has no function h"),
        ("async def handler(event, context): ...", "which Lambda does not await"),
    ],
)
async def test_start_error(
    workshop: Workshop, code: str, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A function that cannot start for a known reason reports it without a traceback."""
    workshop.save(code)
    workshop.function.start()
    error = await workshop.fails()
    assert sentence in error.sentence
    assert not error.detail
    assert "Traceback" not in capfd.readouterr().err


async def test_no_module(workshop: Workshop, tmp_path: Path) -> None:
    """A Handler whose module does not exist is named."""
    (tmp_path / "workpiece.py").unlink()
    workshop.function.start()
    error = await workshop.fails()
    assert error.sentence == (
        "The template says Handler: workpiece.handler, and there is no module workpiece."
    )


async def test_end_before_ready(workshop: Workshop) -> None:
    """A process that ends before it is ready is reported with its last output."""
    workshop.save("import os\nprint('so far')\nos._exit(4)")
    workshop.function.start()
    error = await workshop.fails()
    assert error.broken
    assert error.sentence == "The function ended with status 4 before it was ready."
    assert error.detail == "so far"


async def test_never_ready(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that does not finish is abandoned, and retried by the next request."""
    monkeypatch.setattr(environment, "INIT_SECONDS", 0.3)
    workshop.save("while True: pass")
    workshop.function.start()
    error = await workshop.fails()
    assert error.status == 504
    assert "not become ready within 0.3 s" in error.sentence
    monkeypatch.setattr(environment, "INIT_SECONDS", PATIENCE)
    workshop.save(HANDLER)
    await workshop.call()


async def test_save_loses_no_request(workshop: Workshop, tmp_path: Path) -> None:
    """At a save, the running request ends in the old code; queued ones get the new code."""
    release = tmp_path / "release"
    under_way = asyncio.create_task(workshop.call(wait_for=str(release)))
    await eventually(lambda: Path(f"{release}.begun").exists())
    waiting = [asyncio.create_task(workshop.call(number=number)) for number in range(10)]
    await asyncio.sleep(0)
    workshop.save("def handler(event, context):\n    return 'new'")
    workshop.function.start()
    assert await asyncio.gather(*waiting) == ["new"] * 10
    release.touch()
    old = (await under_way)["pid"]
    await eventually(lambda: not alive(old))


async def test_save_while_idle(workshop: Workshop) -> None:
    """A request at the moment of a save is answered by the new code."""
    await workshop.function.settled()
    await asyncio.sleep(0)  # now the old code waits for a request
    workshop.save("def handler(event, context):\n    return 'new'")
    workshop.function.start()
    assert await workshop.call() == "new"


async def test_renewed_while_events_wait(workshop: Workshop, tmp_path: Path) -> None:
    """Queued events get the new code; without any, no process is started."""
    release = tmp_path / "release"
    under_way = asyncio.create_task(workshop.call(wait_for=str(release)))
    await eventually(lambda: Path(f"{release}.begun").exists())
    waiting = asyncio.create_task(workshop.call())
    await asyncio.sleep(0)
    workshop.save("def handler(event, context):\n    return 'new'")
    workshop.function.renew()
    assert await waiting == "new"
    release.touch()
    await under_way
    workshop.save("def handler(event, context):\n    return 'newer'")
    workshop.function.renew()
    assert await workshop.call() == "newer"


async def test_many_saves(workshop: Workshop) -> None:
    """Several saves leave one process, and requests in between are answered."""
    calls = []
    for _ in range(5):
        workshop.function.start()
        calls.append(asyncio.create_task(workshop.call()))
        await asyncio.sleep(0)
    answers = await asyncio.gather(*calls)
    assert alive(answers[-1]["pid"])
    pids = {answer["pid"] for answer in answers} - {answers[-1]["pid"]}
    await eventually(lambda: not any(map(alive, pids)))


async def test_payload_limits(workshop: Workshop) -> None:
    """An event or result above Lambda's limit is refused with a message."""
    error = await workshop.fails(body="a" * MAX_PAYLOAD)
    assert (error.status, "as an event" in error.sentence) == (413, True)
    error = await workshop.fails(large=MAX_PAYLOAD)
    assert (error.status, "answer takes" in error.sentence) == (502, True)
    await workshop.call()


async def test_too_many_wait(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the queue is full, the next request is refused."""
    monkeypatch.setattr("scripts.commands.dev.function.MAX_WAITING", 3)
    waiting = [asyncio.create_task(workshop.call()) for _ in range(3)]
    await asyncio.sleep(0)
    assert (await workshop.fails()).status == 503
    await asyncio.gather(*waiting)


async def test_abandoned_request_is_not_run(workshop: Workshop, tmp_path: Path) -> None:
    """A queued request whose viewer has disconnected does not reach the handler."""
    release, abandoned = tmp_path / "release", tmp_path / "abandoned"
    first = asyncio.create_task(workshop.call(wait_for=str(release)))
    second = asyncio.create_task(workshop.call(wait_for=str(abandoned)))
    await eventually(lambda: Path(f"{release}.begun").exists())
    second.cancel()
    release.touch()
    await first
    await workshop.call()
    assert not (tmp_path / "abandoned.begun").exists()


async def test_stop(workshop: Workshop, tmp_path: Path) -> None:
    """Stopping ends the process at once, whatever it is doing."""
    pid = (await workshop.call())["pid"]
    busy = asyncio.create_task(workshop.fails(wait_for=str(tmp_path / "never")))
    await eventually(lambda: (tmp_path / "never.begun").exists())
    await workshop.function.stop()
    assert not alive(pid)
    busy.cancel()
