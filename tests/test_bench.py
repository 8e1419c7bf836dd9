"""The benchmark: its load generator misses nothing, and its figures are what was measured."""

import asyncio
import dataclasses
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from scripts import ROOT
from scripts.commands.bench import chart, function, imports, nextjs, redis
from scripts.commands.bench.bus import bus_visits
from scripts.commands.bench.duel import DUELS, Duel
from scripts.commands.bench.figures import Figures
from scripts.commands.bench.load import Conditions, Load, LoadError
from scripts.commands.bench.machine import cpu_seconds
from scripts.commands.bench.measures import find
from scripts.commands.bench.node import NodeError
from scripts.commands.bench.plan import FULL, QUICK
from scripts.commands.bench.report import Report
from scripts.commands.bench.run import Choice, Run
from scripts.commands.bench.servers import SERVERS
from scripts.commands.bench.table import TIMES, number, render
from scripts.commands.bench.visits import visits

TINY = dataclasses.replace(
    QUICK,
    rounds=1,
    warm_up=0.02,
    seconds=0.04,
    sizes=(3, 5),
    burst_size=5,
    pace=500,
    connections=10,
    crowd=12,
    churn=0,
    settle=0.01,
    turns=1,
    audiences=((2, 200), (3, 100)),
)

# ---- the load generator -----------------------------------------------------------------------

Writer = asyncio.StreamWriter
Tell = Callable[[Writer, list[bytes]], Awaitable[None]]  # writes messages to one client


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return an unmasked frame; `first` is its first byte, a whole text message by default."""
    return bytes([first, len(payload)]) + payload


async def joined(writer: Writer, messages: list[bytes]) -> None:
    """Send all messages in one piece."""
    writer.write(b"".join(map(frame, messages)))


async def split(writer: Writer, messages: list[bytes]) -> None:
    """Send every byte as a segment of its own."""
    for byte in b"".join(map(frame, messages)):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)


async def fragmented(writer: Writer, messages: list[bytes]) -> None:
    """Send each message as three frames, with a ping between them."""
    for message in messages:
        parts = frame(message[:5], 0x01), frame(b"", 0x89), frame(message[5:9], 0x00)
        writer.write(b"".join(parts) + frame(message[9:], 0x80))


async def compressed(writer: Writer, messages: list[bytes]) -> None:
    """Send each message compressed, by itself."""
    for message in messages:
        deflate = zlib.compressobj(wbits=-15)
        data = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
        writer.write(frame(data.removesuffix(b"\0\0\xff\xff"), 0xC1))


async def doubled(writer: Writer, messages: list[bytes]) -> None:
    """Send each message twice."""
    await joined(writer, [*messages, *messages])


async def first_only(writer: Writer, messages: list[bytes]) -> None:
    """Lose all messages but the first."""
    await joined(writer, messages[:1])


async def none(writer: Writer, messages: list[bytes]) -> None:
    """Lose all messages."""


class TinyServer:
    """As much of a Socket.IO server as the load generator needs, telling in its own way."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.writers: list[Writer] = []
        self.errors: list[BaseException] = []

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Talk to one client until it goes."""
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: ")
            writer.write(b"permessage-deflate; server_no_context_takeover\r\n\r\n")
            writer.write(frame(b'0{"sid":"a"}'))
            while (message := await read(reader)) is not None:
                await self.answer(writer, message)
        finally:
            writer.close()

    async def answer(self, writer: Writer, message: bytes) -> None:
        """Let a client in, or tell everybody what it says: three things at once for a burst."""
        if message == b"40":
            self.writers.append(writer)
            writer.write(frame(b'40{"sid":"b"}'))
        elif message.startswith(b"42["):
            text = message.split(b'"')[3]
            times = 3 if b"burst" in message else 1
            for each in self.writers:
                await self.tell(each, [b'42["said","%b"]' % text] * times)


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """Return what a client says next, or None when it says goodbye."""
    first, second = await reader.readexactly(2)
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(second & 0x7F)
    return None if first == 0x88 else bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


@asynccontextmanager
async def load(tell: Tell, folder: Path) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Run a load generator against a tiny server, and return what commands it."""
    server = await asyncio.start_server(TinyServer(tell).serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    generator = Load.start(SERVERS["node"], port, folder, Conditions(spin=False, silence=0.2))
    try:
        yield lambda command: asyncio.to_thread(generator.tell, command)
    finally:
        generator.stop()
        server.close()
        await server.wait_closed()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where programs are compiled, once for all tests."""
    return tmp_path_factory.mktemp("bench")


@pytest.mark.parametrize("tell", [joined, split, fragmented, compressed])
async def test_the_load_generator_counts_every_message(tell: Tell, folder: Path) -> None:
    """Every message counts once, however it was fragmented, compressed, joined or cut."""
    async with load(tell, folder) as command:
        await command("open 4 2 websocket")
        reply = await command("broadcast 0.02 burst 3")
        assert reply["rounds"] > 0
        assert reply["deliveries"] == reply["rounds"] * 3 * 4
        assert (reply["lost"], reply["strays"]) == (0, 0)
        await command("close 4 4")


async def test_the_load_generator_notices_a_doubled_message(folder: Path) -> None:
    """A message that arrives twice is counted as a stray."""
    async with load(doubled, folder) as command:
        await command("open 4 4 websocket")
        reply = await command("broadcast 0.02 say 1")
        assert reply["deliveries"] == reply["rounds"] * 4
        assert reply["strays"] + (await command("wait 0.05"))["strays"] > 0
        await command("close 4 4")


async def test_the_load_generator_notices_a_lost_message(folder: Path) -> None:
    """A message that never arrives ends the measurement and is counted as lost."""
    async with load(first_only, folder) as command:
        await command("open 4 4 websocket")
        reply = await command("broadcast 5 burst 3")
        assert (reply["rounds"], reply["deliveries"], reply["lost"]) == (1, 4, 8)
        await command("close 4 4")


@pytest.mark.parametrize(
    ("tell", "lost", "strays"), [(joined, 0, 0), (doubled, 0, 8), (none, 8, 0)]
)
async def test_every_message_at_a_fixed_rate_is_followed(
    tell: Tell, lost: int, strays: int, folder: Path
) -> None:
    """Two messages to four clients have a latency each, and one lost or doubled is noticed."""
    async with load(tell, folder) as command:
        await command("open 4 4 websocket")
        await command("speakers 1")
        reply = await command("told 0.02 100")
        assert (reply["rounds"], reply["lost"]) == (2, lost)
        assert reply["strays"] + (await command("wait 0.05"))["strays"] >= strays
        assert (reply["p99_us"] > 0) is (lost == 0)
        await command("close 4 4")


async def test_a_refused_client_is_not_overlooked(folder: Path) -> None:
    """A measurement ends with a sentence when the server does not let all clients in."""

    async def refuse(reader: asyncio.StreamReader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    generator = Load.start(SERVERS["node"], port, folder, Conditions(spin=False))
    try:
        with pytest.raises(LoadError, match="2 clients could not connect"):
            await asyncio.to_thread(generator.tell, "open 2 2 websocket")
    finally:
        generator.stop()
        server.close()
        await server.wait_closed()


# ---- a run ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_run(folder: Path) -> Run:
    """Measure everything, with a handful of clients, on the servers that need no npm."""
    servers = tuple(SERVERS[name] for name in ("stock", "bare"))
    run = Run(TINY, Choice(("",), servers), Conditions(spin=False, silence=5), folder)
    run.measure()
    return run


def test_every_measure_is_taken_and_nothing_is_lost(tiny_run: Run) -> None:
    """A run takes each measure on each server that can be measured so, and counts all messages."""
    assert tiny_run.left_out == {}
    everywhere = {"broadcast-3", "broadcast-5", "burst-5", "crowd-5", "event", "pipelined"}
    everywhere |= {"paced", "paced-p50", "paced-p99", "handshake", "disconnect-10"}
    for name in everywhere:
        assert set(tiny_run.figures.values[name]) == {"stock", "bare"}, name
    for name in ("upgrade", "memory"):
        assert set(tiny_run.figures.values[name]) == {"stock"}, name
    assert tiny_run.figures.lost("stock") == tiny_run.figures.lost("bare") == 0


def test_what_two_hosts_say_is_measured_on_both(folder: Path) -> None:
    """A pair of hosts on a real Redis yields every value of its visit, and loses nothing."""
    servers = (SERVERS["fast"],)
    run = Run(
        TINY, Choice(("bus",), servers), Conditions(spin=False, silence=5), folder, bus_visits
    )
    run.measure()
    assert run.left_out == {}
    for name in ("message", "listening", "burst", "paced", "p50", "p99"):
        for size in (2, 3):
            assert (run.figures.median(f"bus-{name}-{size}", "fast") or 0) > 0, (name, size)
    assert run.figures.lost("fast") == 0


def test_a_missing_redis_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-server the bus is not measured, and a sentence says what to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(redis.RedisError, match="apt-get install redis-server"):
        redis.version()


def test_a_server_that_does_not_start_is_left_out(folder: Path) -> None:
    """A server that fails is named with what it said, and does not stop the others."""
    broken = dataclasses.replace(
        SERVERS["node"], program=(sys.executable, "-c", "raise SystemExit('no such luck')")
    )
    choice = Choice(("handshake",), (broken, SERVERS["bare"]))
    run = Run(TINY, choice, Conditions(spin=False), folder)
    run.measure()
    assert "no such luck" in run.left_out["node", "start"]
    assert run.figures.servers() == ["bare"]


def test_an_unknown_server_is_refused() -> None:
    """A misspelt server ends in a sentence that names those there are."""
    command = [sys.executable, "-m", "scripts.commands.bench", "--servers", "node,fats"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no 'fats'; there are node, stock, fast" in done.stderr


# ---- figures ----------------------------------------------------------------------------------


@pytest.fixture
def figures() -> Figures:
    """Two servers, three rounds."""
    figures = Figures()
    for node, fast in ((10.0, 5.0), (20.0, 4.0), (12.0, 9.0)):
        figures.add("node", {"broadcast-1000": node, "memory": node, "memory-churned": node * 4})
        figures.add("fast", {"broadcast-1000": fast, "memory": fast, "memory-churned": fast})
    figures.add("fast", {"broadcast-1000-lost": 2})
    return figures


def test_a_figure_is_the_median_of_its_rounds(figures: Figures) -> None:
    """One disturbed round does not move a figure."""
    assert figures.median("broadcast-1000", "node") == 12
    assert figures.median("broadcast-1000", "stock") is None


def test_a_ratio_is_of_medians_to_nodes(figures: Figures) -> None:
    """A ratio compares with Node's median of the same measure, or of the one it names."""
    assert figures.ratio("broadcast-1000", "fast") == 5 / 12
    assert figures.ratio("memory-churned", "fast", "memory") == 5 / 12
    assert figures.ratio("handshake", "fast") is None


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("broadcast-100", 0.85),
        ("broadcast-1000", 0.65),
        ("broadcast-5000", 0.65),
        ("burst-1000", 0.20),
        ("disconnect-10000", 0.60),
        ("disconnect-2000", None),
        ("handshake", 0.40),
        ("bus-delivery-1000", 0.75),
        ("bus-message-5", 1.00),
        ("bus-p99-1000", 1.00),
    ],
)
def test_a_measure_knows_its_target(name: str, target: float | None) -> None:
    """Targets belong to a measure at its size."""
    measure = find(name)
    assert measure
    assert measure.target == target


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_a_figure_shows_what_it_means(value: float, text: str) -> None:
    """Figures are written with about three digits."""
    assert number(value) == text


# ---- servers side by side ---------------------------------------------------------------------


@pytest.mark.parametrize(("server", "other"), [("fallback", "fast"), ("fast", "fallback")])
def test_two_servers_are_measured_side_by_side(server: str, other: str, folder: Path) -> None:
    """The figure is above 1 for the server that costs more: several times, with TRANSPORT=stock."""
    duel = Duel("broadcast-5", server, other, target=1)
    ratio = duel.ratio(TINY, folder, Conditions(spin=False, silence=5))
    assert (ratio > 1) == (server == "fallback")


@pytest.mark.parametrize("duel", DUELS)
def test_every_duel_is_of_a_measure(duel: Duel) -> None:
    """A duel's measure is one of the full run's, and of both its servers."""
    for name in (duel.server, duel.other):
        assert not duel.measure.startswith(SERVERS[name].cannot)
    assert duel.measure in {name for visit in visits(FULL) for name, _ in visit.steps}


# ---- the report -------------------------------------------------------------------------------


@pytest.fixture
def report(figures: Figures) -> Report:
    """What a run would have found out."""
    versions = dict.fromkeys(("socket.io", "node", "python-socketio", "aiohttp"), "1.2.3")
    return Report(
        figures=figures,
        plan={"rounds": 3},
        conditions={"deflate": True},
        machine={"processor": "A", "cores": "2", "kernel": "6", "python": "3"},
        versions=versions,
        date="2026-11-23",
        foreign=[0.5],
        left_out=["stock: it was not there."],
        duels={DUELS[-1].name: 1.25},
        function={"function-cold": 250.0, "function-zip": 500_000},
        imports={"jinja2": 30.0},
    )


def test_the_table_shows_ratios_targets_and_doubts(report: Report) -> None:
    """The table shows each figure beside its ratio and target, and what casts doubt on it."""
    text = render(report)
    row = next(line for line in text.splitlines() if line.startswith("broadcast to 1,000"))
    assert row.split()[-6:] == ["12.0", "5.00", f"{TIMES}0.42", "≤", "0.65", "met"]
    duel = next(line for line in text.splitlines() if "guarded / fast" in line)
    assert duel.split()[-4:] == [f"{TIMES}1.25", "≤", "1.10", "missed"]
    assert "jinja2 30.0" in text
    assert "Left out: stock: it was not there." in text
    assert "repeat this on a quiet machine" in text


def test_the_table_tells_of_a_slow_machine(report: Report) -> None:
    """Where Next.js takes longer to start than it should, a page may too."""
    report.versions["next"] = "16"
    for milliseconds, told in ((1_400.0, True), (600.0, False)):
        report.function["other-cold"] = milliseconds
        assert ("2.00 times as long" in render(report)) == told


def test_a_report_survives_its_file(report: Report, tmp_path: Path) -> None:
    """What was written to JSON is read back whole."""
    report.write(tmp_path / "figures.json")
    assert render(Report.read(tmp_path / "figures.json")) == render(report)


def test_the_chart_is_an_image_with_words(report: Report) -> None:
    """The chart is well-formed SVG, has a bar for each figure and says what it shows."""
    image = ElementTree.fromstring(chart.render(report))
    bars = image.findall(".//{http://www.w3.org/2000/svg}rect")
    assert [bar.get("class") for bar in bars] == ["fast", "node"] * 3
    assert "0.42 times" in image.get("aria-label", "")


# ---- the machine and the function -------------------------------------------------------------


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process whose own child uses a twentieth of a second, and both then wait."""
    burn = "import time\nwhile time.process_time() < 0.05: pass\nprint(flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        yield process


def test_the_cpu_of_a_server_includes_its_children(child: subprocess.Popen[bytes]) -> None:
    """What a server leaves to a child of its own counts as the server's."""
    assert child.stdout
    child.stdout.readline()
    assert cpu_seconds(child.pid) >= 0.05


def test_the_function_is_measured_rendering_its_page(folder: Path) -> None:
    """The runtime client is started until its first page, and renders more of them, warm."""
    plan = dataclasses.replace(TINY, starts=1, pages=2)
    values = function.measure(plan, folder, spin=True, other=lambda: 0.5)
    assert set(values) == {
        "other-cold",
        "function-cold-ratio",
        "function-cold",
        "function-cold-cpu",
        "function-warm",
        "function-warm-cpu",
        "function-plain",
        "function-plain-cpu",
    }
    assert all(value > 0 for value in values.values())
    assert values["function-cold-ratio"] == values["function-cold"] / 500


@pytest.fixture
def standalone(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a folder with a server as Next.js leaves one."""

    def make(code: str) -> Path:
        (tmp_path / "server.js").write_text(code)
        return tmp_path

    return make


_SERVER = """
const page = (request, response) => response.writeHead(STATUS).end("<h1>It is noon</h1>");
require("node:http").createServer(page).listen(process.env.PORT, process.env.HOSTNAME);
"""


def test_next_is_started_until_its_first_page(standalone: Callable[[str], Path]) -> None:
    """A start counts from the spawning of the server until its page has come."""
    began = time.perf_counter()
    seconds = nextjs.first_page(standalone(_SERVER.replace("STATUS", "200")))
    assert 0 < seconds < time.perf_counter() - began


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("process.exit(1)", "did not start"),
        (_SERVER.replace("STATUS", "500"), "answered 500"),
        (_SERVER.replace("response.", "request.socket.destroy() && response."), "broke off"),
    ],
)
def test_next_without_a_page_is_no_start(
    standalone: Callable[[str], Path], code: str, sentence: str
) -> None:
    """A server that ends at once, or fails, is told of and not measured."""
    with pytest.raises(NodeError, match=sentence):
        nextjs.first_page(standalone(code))


def test_next_that_cannot_be_built_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without npm, Next.js is left out, with a sentence that says what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeError, match="no npm here"):
        nextjs.build(tmp_path)


def test_imports_are_summed_by_package() -> None:
    """A package's import time is its modules' own, without what those import in turn."""
    report = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   json.decoder
import time:       250 |       2350 | json
import time:      2000 |       2000 |   starlette
"""
    assert imports.parse(report) == {"starlette": 2.0, "json": 0.35}
