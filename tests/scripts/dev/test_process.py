"""A child's output is shown, and its reads from the terminal do not block."""

import asyncio
from pathlib import Path
from textwrap import dedent

import pytest

from scripts.commands.dev.process import Process
from tests.scripts.dev.edges import PATIENCE, eventually


async def run(code: str, folder: Path, **environ: str) -> Process:
    (folder / "child_code.py").write_text(dedent(code))
    return await Process.spawn("child", ["child_code"], {"PYTHONPATH": str(folder), **environ})


async def lines(code: str, folder: Path, **environ: str) -> list[str]:
    """The output of a module that ends by itself."""
    process = await run(code, folder, **environ)
    async with asyncio.timeout(PATIENCE):
        await process.wait()
    return list(process.tail)


async def test_unfinished_line(tmp_path: Path) -> None:
    """A line whose end does not come is shown nevertheless."""
    code = """
        import sys, time
        sys.stdout.write("first\\nthe last line")
        sys.stdout.flush()
        time.sleep(1000)
    """
    process = await run(code, tmp_path)
    await eventually(lambda: list(process.tail) == ["first", "the last line"])
    await process.stop(0)


async def test_late_end_of_a_line(tmp_path: Path) -> None:
    """The end of a line that was already shown is not shown as a line."""
    code = """
        import os, time
        os.write(1, b"one")
        time.sleep(1)
        os.write(1, b"\\n\\ntwo\\n")
    """
    assert await lines(code, tmp_path) == ["one", "", "two"]


async def test_long_line(tmp_path: Path) -> None:
    """A line of any length is shown in pieces, completely."""
    written = await lines("print('a' * 1_000_000, end='')", tmp_path)
    assert sum(map(len, written)) == 1_000_000


@pytest.mark.parametrize(
    "code",
    [
        "input('say: ')",
        "import sys; print('read', repr(sys.stdin.read()))",
        "import pdb; pdb.set_trace()",
        "import subprocess; print(subprocess.run(['cat'], capture_output=True).stdout)",
    ],
)
async def test_standard_input_is_empty(tmp_path: Path, code: str) -> None:
    """A read from the terminal returns its end at once."""
    assert await lines(code, tmp_path)


async def test_breakpoint(tmp_path: Path) -> None:
    """`breakpoint()` prints its place and why nothing stops there, and the program continues."""
    told, went = await lines("breakpoint()\nprint('went on')", tmp_path)
    assert told.startswith(f"breakpoint() in {tmp_path}/child_code.py:1 is passed over")
    assert went == "went on"


async def test_chosen_debugger(tmp_path: Path) -> None:
    """A debugger that the developer has chosen is used."""
    assert await lines("breakpoint()", tmp_path, PYTHONBREAKPOINT="print") == [""]
    assert await lines("breakpoint()", tmp_path, PYTHONBREAKPOINT="0") == []


PROXY = "http://proxy.example:8080"


@pytest.mark.parametrize(
    ("former", "intranet", "aws"),
    [("", PROXY, PROXY), ("intranet.example", "None", PROXY), ("*", "None", "None")],
)
async def test_proxy_of_a_company(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: str, intranet: str, aws: str
) -> None:
    """A child reaches what runs on this machine directly, as boto3 does not by itself."""
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", former)
    code = """
        from botocore.utils import get_environ_proxies
        for host in ("127.0.0.1:3002", "localhost:3000", "intranet.example", "aws.example"):
            print(get_environ_proxies(f"http://{host}/").get("http"))
    """
    assert await lines(code, tmp_path) == ["None", "None", intranet, aws]
