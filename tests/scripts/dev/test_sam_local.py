"""`sam local`, and `scripts/dev --pages` beside it: what is configured fits together."""

import asyncio
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from aiohttp import web

from functions.web.emit import open_emitter
from functions.web.settings import Settings
from scripts import ROOT
from scripts.commands.dev import sam_local as shared
from scripts.commands.dev.__main__ import PORT, TEMPLATE
from scripts.commands.dev.aws import KEYS, REGION
from scripts.commands.dev.listeners import PortError
from scripts.commands.dev.origins import PagesOrigin
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.sam_local import SamLocal, SamLocalError, StandIn
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST, load
from tests.scripts.dev import sam_local
from tests.scripts.dev.edges import Recorder, running, status

CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]
LOCAL = CONFIG["local_start_api"]["parameters"]
INVOKE = CONFIG["local_invoke"]["parameters"]


def test_settings_are_those_of_the_template() -> None:
    """sam sets no variable that the template does not have, and leaves no reference unresolved."""
    properties = load(TEMPLATE.read_text())["Resources"]["Pages"]["Properties"]
    variables = properties["Environment"]["Variables"]
    assert sam_local.settings(ROOT).keys() == variables.keys()
    # In the cloud there is only AWS.
    assert variables["AWS_ENDPOINT_URL"] == {"Ref": "AWS::NoValue"}


def test_settings_are_accepted() -> None:
    """The function starts by them, and says what it has to say to sockets on the same port."""
    settings = sam_local.settings(ROOT)
    read = Settings.from_environ(settings)
    open_emitter(read.bus, read.session_secret)
    bus, aws = urlsplit(settings["BUS"]), urlsplit(settings["AWS_ENDPOINT_URL"])
    assert bus.netloc == aws.netloc
    assert LOCAL["add_host"] == INVOKE["add_host"] == [f"{aws.hostname}:host-gateway"]


def test_containers_stay_warm_on_a_port_of_their_own() -> None:
    """What a page writes to its disk is there at the next, and scripts/dev keeps its port."""
    assert LOCAL["warm_containers"] == "LAZY"
    assert len({LOCAL["port"], SamLocal.read(ROOT / sam_local.FILE).port, PORT}) == 3


@pytest.mark.parametrize("parameters", [LOCAL, INVOKE])
def test_every_way_to_run_it_has_the_settings(parameters: dict[str, str]) -> None:
    """sam reads them for each of its commands by itself, in the region where the tables are."""
    assert parameters["env_vars"] == sam_local.FILE
    assert parameters["region"] == REGION


def test_event_is_an_event() -> None:
    """The event to invoke with is one that the handler answers with a page."""
    event = json.loads((ROOT / INVOKE["event"]).read_text())
    code = (
        "import json, sys; from functions.app import handler; "
        "print(handler(json.loads(sys.argv[1]), None)['statusCode'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(event)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split()[-1:] == ["200"], done.stderr


# ---- scripts/sam local ----


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has been built, with no sam in it."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/sam", tmp_path / "scripts/sam")
    (tmp_path / ".aws-sam/build").mkdir(parents=True)
    (tmp_path / ".aws-sam/build/template.yaml").touch()
    return tmp_path


def start_api(project: Path, *options: str) -> str:
    command = ["scripts/sam", "local", "start-api", *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode
    return done.stderr


def test_sam_local_without_a_build(project: Path) -> None:
    """What was not built is not started: every page would be Python's error, and a 200."""
    (project / ".aws-sam/build/template.yaml").unlink()
    assert "run scripts/sam build first" in start_api(project)


@pytest.mark.parametrize("words", ["-t x", "-tx", "--template x", "--template-file=x"])
def test_sam_local_with_another_template(project: Path, words: str) -> None:
    """The template that was not built is refused, however it is named."""
    said = start_api(project, "--port", "1", *words.split())
    assert f"leave {words.split()[0]} away" in said
    assert "leave" not in start_api(project, "--port", "1")


# ---- scripts/dev --pages ----


@asynccontextmanager
async def answering(text: str, kind: str) -> AsyncIterator[str]:
    """A server that answers everything with a text, as sam local does with a 200."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=text, content_type=kind)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def page(text: str, kind: str = "application/json") -> str:
    """What the edge answers where sam local answers with a text."""
    async with answering(text, kind) as url, Proxy() as proxy:
        origins = {FUNCTION: PagesOrigin(url, proxy), SOCKET_HOST: Recorder("sockets")}
        async with running(origins=origins) as edge:
            return await edge.get("/")


async def test_function_that_was_not_built() -> None:
    """A function that the container cannot import is a sentence that says what to run."""
    error = {
        "errorMessage": "Unable to import module 'functions.app': No module named 'functions'",
        "errorType": "Runtime.ImportModuleError",
        "requestId": "",
        "stackTrace": [],
    }
    answer = await page(json.dumps(error))
    assert status(answer) == 502
    assert "Run scripts/sam build" in answer
    assert "No module named" in answer


async def test_function_that_fails() -> None:
    """Any error of the function is a 502 with its own words and trace."""
    error = {"errorMessage": "oh no", "errorType": "ValueError", "stackTrace": ["  line 1\n"]}
    answer = await page(json.dumps(error))
    assert status(answer) == 502
    assert "ValueError: oh no" in answer
    assert "line 1" in answer


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"errorType": "mine", "errorMessage": "of a form", "field": "name"}', "application/json"),
        ('{"errorType": "mine", "errorMessage": "as a text"}', "text/plain"),
        ("[1, 2]", "application/json"),
        ("{", "application/json"),
    ],
)
async def test_answer_that_is_no_failure(text: str, kind: str) -> None:
    """What only looks like it passes as it is."""
    answer = await page(text, kind)
    assert status(answer) == 200
    assert text in answer


def test_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody has is named, with where to change it."""
    file = tmp_path / "local.json"
    file.write_text((ROOT / sam_local.FILE).read_text())
    (tmp_path / "infra").mkdir()
    shutil.copy(file, tmp_path / sam_local.FILE)
    sam_local.move(tmp_path)
    found = SamLocal.read(tmp_path / sam_local.FILE)
    listeners = found.listen()
    assert listeners[0].getsockname() == ("127.0.0.1", found.port)
    with pytest.raises(PortError, match=rf"Port {found.port}, where infra/local.json"):
        found.listen()
    for listener in listeners:
        listener.close()


def test_nobody_else_is_listened_to() -> None:
    """Only this machine and its containers reach what stands in for AWS."""
    assert "0.0.0.0" not in shared.bridges()


@pytest.mark.parametrize("text", ["", "{}", '{"Pages": {"AWS_ENDPOINT_URL": "http://here"}}'])
def test_settings_that_are_none(text: str, tmp_path: Path) -> None:
    """A file that is not what it has to be is told of by its name."""
    file = tmp_path / "local.json"
    file.write_text(text)
    with pytest.raises(SamLocalError, match=r"local\.json"):
        SamLocal.read(file)


async def test_stand_in_has_the_templates_tables() -> None:
    """The stand-in for AWS has each of the template's tables, by its name there."""
    stand_in = await StandIn.start(TEMPLATE)
    try:
        dynamodb = boto3.client(
            "dynamodb",
            region_name=REGION,
            endpoint_url=stand_in.url,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        found = await asyncio.to_thread(dynamodb.list_tables)
        resources = load(TEMPLATE.read_text())["Resources"].items()
        tables = [name for name, r in resources if r["Type"] == "AWS::DynamoDB::Table"]
        assert tables
        assert found["TableNames"] == sorted(tables)
    finally:
        await stand_in.stop()


async def test_stand_in_that_does_not_start(tmp_path: Path) -> None:
    """A stand-in that ends says why."""
    with pytest.raises(SamLocalError, match=r"No such file .*template\.yaml"):
        await StandIn.start(tmp_path / "template.yaml")
