"""scripts/dev as a whole, while its files and folders are changed and removed."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from tests.scripts.dev.edges import PATIENCE
from tests.scripts.dev.project import Dev, copy_project, descendants, running

pytestmark = [pytest.mark.together("reloads"), pytest.mark.asyncio(loop_scope="module")]

POLL = "/socket.io/?EIO=4&transport=polling"
TEMPLATE = "infra/template.yaml"

PAGES = '''"""Pages for these tests."""

import os
import urllib.request

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from functions.web.site import Site


def start(app):
    pass


async def hello(request):
    return PlainTextResponse("hello")


async def fail(request):
    raise LookupError("the last line")


async def itself(request):
    address = request.query_params["site"]
    with urllib.request.urlopen(address) as answer:
        return PlainTextResponse("it answered " + answer.read().decode())


async def setting(request):
    return PlainTextResponse(Site.of(request).settings.own["ADDED"])


async def halt(request):
    breakpoint()
    return PlainTextResponse("went on")


routes = [
    Route("/", hello), Route("/fail", fail), Route("/itself", itself), Route("/halt", halt),
    Route("/setting", setting),
]
'''

HANDLER = '''"""A function other than the edge's."""


import os


def handler(event, context):
    if "routeKey" in event:
        return {"variables": event["pathParameters"], "step": os.environ["STEP"]}
    return {"records": len(event["Records"])}
'''

# A process that starts writes bytecode into the same folders.
CACHES = shutil.ignore_patterns("__pycache__")

ADDED = """
from functions.contract.setting import Setting as Added

settings = [*settings, Added("ADDED", "what is added", development="one")]
"""

FUNCTION = """
  Counter:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.pages.counter.handler
      Environment: { Variables: { STEP: one } }
      Events:
        Count: { Type: SQS, Properties: { Queue: !GetAtt Things.Arn } }
        Ask:
          Type: HttpApi
          Properties: { ApiId: !Ref PagesApi, Method: GET, Path: "/count/{n}" }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dev(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dev]:
    """A site with pages for these tests."""
    root = copy_project(tmp_path_factory.mktemp("project"))
    (root / "functions/pages/__init__.py").write_text(PAGES)
    (root / "functions/pages/counter.py").write_text(HANDLER)
    async with running(root) as dev:
        yield dev


async def said(dev: Dev, words: str, act: Callable[[], object]) -> None:
    """Do something, and wait until the terminal has a text about it."""
    told = len(dev.said)
    act()
    await dev.says(words, after=told)


async def test_reference_in_the_template(dev: Dev) -> None:
    """A template that cannot be enforced is reported, and later saves still take effect."""
    text = (dev.root / TEMPLATE).read_text()
    broken = text.replace("TargetOriginId: function", "TargetOriginId: !Ref X", 1)
    await said(dev, "leads to {'Ref': 'X'}", lambda: (dev.root / TEMPLATE).write_text(broken))
    page = dev.root / "functions/pages/__init__.py"
    page.write_text(PAGES.replace('"hello"', '"hello again"'))
    await dev.becomes("/", 200, "hello again")
    await said(dev, "its behaviours are in effect", lambda: (dev.root / TEMPLATE).write_text(text))
    page.write_text(PAGES)
    await dev.becomes("/", 200, "hello")


async def test_second_function(dev: Dev) -> None:
    """A function added to the template does not disturb pages, and can be run at any time.

    It answers at its own route of the API. Its variables are those of the template as last saved.
    """
    path = dev.root / TEMPLATE
    text = path.read_text()
    added = text.replace("\nResources:\n", f"\nResources:\n{FUNCTION}\n", 1)
    await said(dev, "its behaviours are in effect", lambda: path.write_text(added))
    assert (await dev.get("/")) == (200, "hello")
    assert (await dev.get(POLL))[0] == 200
    answer = json.loads((await dev.get("/count/7"))[1])
    assert answer == {"variables": {"n": "7"}, "step": "one"}
    again = added.replace("STEP: one", "STEP: two")
    await said(dev, "its behaviours are in effect", lambda: path.write_text(again))
    assert json.loads((await dev.get("/count/7"))[1])["step"] == "two"
    arguments = ["--data", str(dev.root / "data"), "--run", "Counter"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.commands.dev", *arguments),
        cwd=dev.root,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert json.loads(out) == {"records": 1}
    await said(dev, "its behaviours are in effect", lambda: path.write_text(text))


async def test_last_line_of_a_traceback(dev: Dev) -> None:
    """The whole traceback of a page that raises appears on the terminal at once."""
    told = len(dev.said)
    assert (await dev.get("/fail"))[0] == 500
    await dev.says("LookupError: the last line", after=told)


async def test_page_that_requests_its_own_site(dev: Dev) -> None:
    """A page may request another page of its own site, as in the cloud."""
    assert (await dev.get(f"/itself?site={dev.url}/"))[1] == "it answered hello"


async def test_breakpoint(dev: Dev) -> None:
    """A page with a breakpoint continues, and the terminal shows why."""
    told = len(dev.said)
    assert (await dev.get("/halt"))[1] == "went on"
    await dev.says("is passed over", after=told)


async def test_recreated_folder(dev: Dev) -> None:
    """functions/ may be deleted and recreated; later saves in it take effect."""
    folder, away = dev.root / "functions", dev.root / "away"
    await said(dev, "the function starts again", lambda: folder.rename(away))
    await said(
        dev, "the function starts again", lambda: shutil.copytree(away, folder, ignore=CACHES)
    )
    await dev.becomes("/", 200, "hello")
    (folder / "pages/__init__.py").write_text(PAGES.replace('"hello"', '"hello anew"'))
    await dev.becomes("/", 200, "hello anew")
    (folder / "pages/__init__.py").write_text(PAGES)
    await dev.becomes("/", 200, "hello")
    await dev.becomes(POLL, 200)


async def test_setting_added(dev: Dev) -> None:
    """A setting declared or given in .env while the site runs takes effect at once."""
    declaration, file = dev.root / "functions/model/settings.py", dev.root / ".env"
    text = declaration.read_text()
    declaration.write_text(text + ADDED)
    await dev.becomes("/setting", 200, "one")
    await dev.becomes(POLL, 200)
    file.write_text("ADDED=two\n")
    await dev.becomes("/setting", 200, "two")
    why = f"Your settings were not reloaded: {file}, line 1"
    await said(dev, why, lambda: file.write_text("ADDED\n"))
    await dev.becomes("/setting", 200, "two")
    file.unlink()
    await dev.becomes("/setting", 200, "one")
    await said(
        dev,
        "were not reloaded: functions/model/settings.py, line 1: SyntaxError",
        lambda: declaration.write_text("def"),
    )
    declaration.write_text(text)
    await dev.becomes("/", 200)
    await dev.becomes(POLL, 200)


async def test_data_removed(dev: Dev) -> None:
    """If the data are removed, both halves restart with the same new data."""
    host = dev.pid("socket_host")
    await said(dev, "both halves start again", lambda: shutil.rmtree(dev.root / "data"))
    async with asyncio.timeout(PATIENCE):
        while host in descendants(dev.process.pid):  # noqa: ASYNC110 - not ours
            await asyncio.sleep(0.01)
    await dev.becomes(POLL, 200)
    await dev.becomes("/", 200)


async def test_addresses(dev: Dev) -> None:
    """A page may connect under each name of this machine; other origins are refused."""
    port = dev.url.rpartition(":")[2]
    async with ClientSession() as http:
        for name in ("localhost", "127.0.0.1", "[::1]"):
            headers = {"Origin": f"http://{name}:{port}"}
            async with http.get(dev.url + POLL, headers=headers) as answer:
                assert answer.status == 200
        async with http.get(dev.url + POLL, headers={"Origin": "http://localhost:1"}) as answer:
            assert answer.status == 403
            assert "http://localhost:1" in await answer.text()
