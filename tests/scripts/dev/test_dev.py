"""`scripts/dev` as a whole: both halves at one address, and saves take effect."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession, TCPConnector, web

from functions.contract.session import SAMPLE_SECRET
from tests.kit.clients import PythonClient
from tests.kit.hosts import token
from tests.scripts.dev import sam_local
from tests.scripts.dev.edges import PATIENCE, eventually
from tests.scripts.dev.project import (
    Dev,
    Poller,
    alive,
    descendants,
    running,
    small_project,
    starting,
)

pytestmark = pytest.mark.together("site")

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = "functions/pages/__init__.py"
PLAZA = "socket_host/events/plaza.py"
POLL = "/socket.io/?EIO=4&transport=polling"
EVENT = """
    async def on_shout(self, sid, text):
        return text.upper()

    async def on_message("""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dev]:
    """A shared development server in a copy of the project, because it starts slowly."""
    async with running(small_project(tmp_path_factory.mktemp("project"))) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def dev(server: Dev) -> AsyncIterator[Dev]:
    """The shared server, for tests that save files or kill a half; changes are undone later."""
    yield server
    await server.restore()


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Dev]:
    """A server for a test that stops it, or that opens many connections."""
    async with running(small_project(tmp_path)) as dev:
        yield dev


@asynccontextmanager
async def visitor(dev: Dev) -> AsyncIterator[PythonClient]:
    """A client that is connected by websocket, and reconnects as fast as possible."""
    client = PythonClient(reconnection_delay=0.05, reconnection_delay_max=0.1)
    try:
        await client.connect(dev.url, token=token("Ann", secret=SAMPLE_SECRET))
        await client.receive("connect")
        yield client
    finally:
        await client.close()


async def test_first_requests(dev: Dev) -> None:
    """Once the address is printed, the page, both socket paths and a redirect work."""
    assert "hello</h1>" in (await dev.get("/"))[1]
    assert (await dev.get(POLL))[1].startswith('0{"sid":')
    assert (await dev.get(POLL.replace("io/?", "io?")))[1].startswith('0{"sid":')
    assert (await dev.get("/about/?a=1"))[0] == 308
    assert (dev.root / "data/posts.sqlite3").exists()


LOOPBACKS = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


def taken(family: socket.AddressFamily, address: str) -> socket.socket:
    """A port that another program uses."""
    try:
        return socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {address}")


@pytest.mark.parametrize(("family", "address"), LOOPBACKS)
async def test_addresses_of_localhost(dev: Dev, family: socket.AddressFamily, address: str) -> None:
    """Browsers reach it, whether they resolve localhost to IPv4 or to IPv6."""
    taken(family, address).close()
    port = int(dev.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection(address, port)
    writer.close()


async def test_page_added(dev: Dev) -> None:
    """A new page and its route work from the next save on, without a manual restart."""
    assert (await dev.get("/hello"))[0] == 404
    page = (
        "from starlette.responses import Response\n\n\n"
        "async def hello(request) -> Response:\n    return Response('Hello there')\n\n\n"
    )
    dev.save(
        "functions/pages/__init__.py",
        "routes = [",
        f"{page}routes = [\n    Route('/hello', hello),",
    )
    await dev.becomes("/hello", 200, "Hello there")


async def test_template_file_saved(dev: Dev) -> None:
    """The next request shows a saved HTML template."""
    dev.save("functions/pages/templates/served.html", "Who served this page?", "Who was it?")
    await dev.becomes("/about", 200, "Who was it?")


async def test_two_saves_in_a_second(dev: Dev) -> None:
    """A save takes effect even if it changes neither the size nor the time of a file."""
    pages = dev.root / "functions/pages/__init__.py"
    old = pages.stat()
    for name in ("aaaa", "bbbb"):
        previous = '"/about"' if name == "aaaa" else '"/aaaa"'
        dev.save("functions/pages/__init__.py", f"Route({previous}", f'Route("/{name}"')
        os.utime(pages, (old.st_atime, old.st_mtime))
        await dev.becomes(f"/{name}", 200)


async def test_event_added(dev: Dev) -> None:
    """An event handler works from the next save on; clients reconnect by themselves."""
    async with visitor(dev) as client:
        assert "error" in await client.call("shout", "loud")
        dev.save(PLAZA, "\n    async def on_message(", EVENT)
        await client.receive("disconnect")
        await client.receive("connect")
        assert await client.call("shout", "loud") == "LOUD"


async def test_broken_page(dev: Dev) -> None:
    """A broken save shows its escaped error in browser and terminal; the next save recovers."""
    old = "async def hello("
    dev.save(PAGES, old, f"raise ValueError('<b>oh no</b>')\n\n\n{old}")
    text = await dev.becomes("/", 500)
    assert text.startswith("ValueError: <b>oh no</b>\n\nTraceback")
    assert PAGES in text
    page = (await dev.get("/about", Accept="text/html"))[1]
    assert "<h1>ValueError: &lt;b&gt;oh no&lt;/b&gt;</h1>" in page
    assert PAGES in page
    assert "<b>" not in page
    assert "reloads by itself" in page
    await dev.says("ValueError: <b>oh no</b>")
    assert (await dev.get(POLL))[0] == 200
    dev.save(PAGES, f"raise ValueError('<b>oh no</b>')\n\n\n{old}", old)
    await dev.becomes("/", 200, "hello</h1>")


async def test_broken_host(dev: Dev) -> None:
    """A broken save of the host's code causes a 502; pages still work, and a save recovers."""
    dev.save(PLAZA, "class Plaza(", "oops\n\n\nclass Plaza(")
    text = await dev.becomes(POLL, 502, "before it listened")
    assert "NameError: name 'oops' is not defined" in text
    assert PLAZA in text
    assert "runpy" not in text  # nor anything else that is not the project's
    await dev.says("NameError: name 'oops' is not defined")
    assert (await dev.get("/"))[0] == 200
    dev.save(PLAZA, "oops\n\n\nclass Plaza(", "import oops\n\n\nclass Plaza(")
    await dev.becomes(POLL, 502, "No installed package has the module oops. Add its package to")
    dev.save(PLAZA, "import oops\n\n\nclass Plaza(", "class Plaza(")
    await dev.becomes(POLL, 200)


async def test_form_reaches_sockets(dev: Dev) -> None:
    """A message from the form reaches sockets through the function, before and after a restart."""
    for number in range(2):
        async with visitor(dev) as client, ClientSession() as browser:
            await (await browser.get(dev.url)).text()
            fields = {"id": f"m{number}", "text": f"by hand {number}"}
            answer = await browser.post(dev.url, data=fields)
            assert (answer.status, answer.url.path) == (200, "/")
            assert fields["text"] in await answer.text()
            assert (await client.receive("message"))["text"] == fields["text"]
        os.kill(dev.pid("socket_host"), signal.SIGKILL)
        await dev.becomes(POLL, 502)
        await dev.becomes(POLL, 200)


async def test_contract_saved(dev: Dev) -> None:
    """A save of the code that both halves import reloads both."""
    function, host = dev.pid("scripts.commands.dev.runtime"), dev.pid("socket_host")
    dev.save("functions/contract/session.py", "MIN_SECRET_LENGTH = 32", "MIN_SECRET_LENGTH = 33")
    await dev.says("the function starts again")
    await dev.says("the socket host starts again")
    await eventually(lambda: not alive(function) and not alive(host))
    await dev.becomes("/", 200)
    await dev.becomes(POLL, 200)


async def test_behaviours_saved(dev: Dev) -> None:
    """A saved behaviour takes effect; with a broken template, the last good one stays."""
    template = "infra/template.yaml"
    dev.save(template, "PathPattern: /socket.io/*", "PathPattern: /live/*")
    await dev.becomes(POLL, 421)  # the function refuses the socket path
    dev.save(template, "Resources:", "Resources: [")
    await dev.says("this is not YAML")
    assert (await dev.get(POLL))[0] == 421
    dev.save(template, "Resources: [", "Resources:")
    dev.save(template, "PathPattern: /live/*", "PathPattern: /socket.io/*")
    await dev.becomes(POLL, 200)


async def test_function_settings_saved(dev: Dev) -> None:
    """The function gets its memory and timeout from the template, after a save too."""
    assert "1024 MB" in (await dev.get("/about"))[1]
    dev.save("infra/template.yaml", "MemorySize: 1024", "MemorySize: 2048")
    await dev.becomes("/about", 200, "2048 MB")


async def test_host_killed(dev: Dev) -> None:
    """While the host is down, sockets get a 502 at once and pages work; then it is restarted."""
    before = dev.pid("socket_host")
    os.kill(before, signal.SIGKILL)
    text = await dev.becomes(POLL, 502, "was killed by SIGKILL and is being started again.")
    assert text.startswith("The socket host")
    assert (await dev.get("/"))[0] == 200
    await dev.becomes(POLL, 200)
    assert dev.pid("socket_host") != before


async def test_function_killed(dev: Dev) -> None:
    """A killed function is restarted by the next request."""
    before = dev.pid("scripts.commands.dev.runtime")
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: not alive(before))
    # A request that the killed process had just received may get a 502, as in the cloud.
    await dev.becomes("/", 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals(own: Dev, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end it and its children, with status 0."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("these tests were started with nohup")
    children = descendants(own.process.pid)
    assert len(children) == 2
    async with visitor(own):
        assert await own.end(number) == 0
    assert not any(map(alive, children))
    assert "Traceback" not in "\n".join(own.said)


@pytest.mark.parametrize("file", ["functions/app.py", "socket_host/__main__.py"])
async def test_signal_while_a_half_hangs(tmp_path: Path, file: str) -> None:
    """It stops even if a half never becomes ready."""
    root = small_project(tmp_path)
    (root / file).write_text("import time\ntime.sleep(1000)\n")
    async with starting(root) as dev:
        async with asyncio.timeout(PATIENCE):
            while len(children := descendants(dev.process.pid)) < 2:  # noqa: ASYNC110 - not ours
                await asyncio.sleep(0.01)
        assert await dev.end() == 0
        assert not any(map(alive, children))


async def test_killed_itself(own: Dev) -> None:
    """If it is killed, its children end too."""
    children = descendants(own.process.pid)
    await own.end(signal.SIGKILL)
    await eventually(lambda: not any(map(alive, children)))


@pytest.mark.parametrize(("family", "address"), LOOPBACKS)
async def test_port_taken(tmp_path: Path, family: socket.AddressFamily, address: str) -> None:
    """A port in use, on IPv4 or IPv6, causes one message and status 1."""
    with taken(family, address) as other:
        port = other.getsockname()[1]
        async with starting(small_project(tmp_path), "--port", str(port)) as dev:
            async with asyncio.timeout(PATIENCE):
                assert await dev.process.wait() == 1
            await dev.says(f"Port {port} is used by another program.")
            assert len(dev.said) == 1


async def test_broken_template_at_start(tmp_path: Path) -> None:
    """A template that cannot be enforced stops the start with a message."""
    root = small_project(tmp_path)
    template = root / "infra/template.yaml"
    template.write_text(template.read_text().replace("- Id: socket-host", "- Id: sockets"))
    async with starting(root) as dev:
        async with asyncio.timeout(PATIENCE):
            assert await dev.process.wait() == 1
        await dev.says("the behaviour /socket.io leads to 'socket-host', which is none of")
        assert len(dev.said) == 1


async def test_pages_from_elsewhere(tmp_path: Path) -> None:
    """With --pages, another server has the pages; sockets work, and no function runs."""

    async def page(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"{request.method} {request.path_qs} from elsewhere")

    runner = web.ServerRunner(web.Server(page))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    root = small_project(tmp_path)
    sam_local.move(root)
    async with running(root, "--pages", url) as dev:
        assert (await dev.get("/a?b"))[1] == "GET /a?b from elsewhere"
        assert (await dev.get(POLL))[0] == 200
        dev.save(
            "functions/contract/session.py", "MIN_SECRET_LENGTH = 32", "MIN_SECRET_LENGTH = 33"
        )
        await dev.says("the socket host starts again")
        await dev.becomes(POLL, 200)
        assert not any("runtime" in command for command in descendants(dev.process.pid).values())
    await runner.cleanup()


async def test_plain_runtime(tmp_path: Path) -> None:
    """The simple runtime replaces AWS's client where that cannot be installed."""
    async with running(small_project(tmp_path), "--plain-runtime") as dev:
        assert "Invocation" in (await dev.get("/about"))[1]


async def test_many_polling_clients(own: Dev) -> None:
    """150 clients that only poll connect, and each receives every message once.

    By default an HTTP client, such as the proxy's, has only 100 connections.
    """
    texts = [f"message {number}" for number in range(4)]
    tokens = [token(f"Visitor {number}", secret=SAMPLE_SECRET) for number in range(150)]
    async with ClientSession(connector=TCPConnector(limit=0)) as http:
        pollers = [Poller(http, own.url, each) for each in tokens]
        await asyncio.gather(*(poller.connect() for poller in pollers))
        async with asyncio.timeout(2 * PATIENCE), asyncio.TaskGroup() as group:
            for poller in pollers:
                group.create_task(poller.listen(len(texts)))
            for text, poller in zip(texts, pollers, strict=False):
                await poller.say(text)
    assert {tuple(poller.messages) for poller in pollers} == {tuple(texts)}
