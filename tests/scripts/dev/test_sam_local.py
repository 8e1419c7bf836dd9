"""The configuration of `sam local`, and of `scripts/dev --pages` beside it, fits together."""

import asyncio
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from aiohttp import web

from functions.contract.setting import Setting
from functions.model.settings import settings as declared
from functions.web.emitters import open_emitter
from functions.web.settings import Settings
from scripts import ROOT
from scripts.commands.dev import sam_local
from scripts.commands.dev.__main__ import PORT, TEMPLATE
from scripts.commands.dev.aws import KEYS, REGION
from scripts.commands.dev.listeners import PortError
from scripts.commands.dev.origins import PagesOrigin
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.stand_in import StandIn, StandInError
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST, load
from tests.scripts.dev.edges import Recorder, running, status
from tests.scripts.dev.sam_local import unlikely_port

TEXT = TEMPLATE.read_text()

CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]
LOCAL = CONFIG["local_start_api"]["parameters"]
INVOKE = CONFIG["local_invoke"]["parameters"]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """The settings that scripts/sam gives the function in `sam local`."""
    command = [sys.executable, "-m", "scripts.commands.dev.sam_local"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)["Pages"]
    return found


def test_sam_sets_what_the_template_has(settings: dict[str, str]) -> None:
    """The template has every setting, because sam sets no other variables."""
    properties = load(TEXT)["Resources"]["Pages"]["Properties"]
    variables = properties["Environment"]["Variables"]
    assert settings.keys() <= variables.keys()
    # In the cloud, AWS is the default.
    assert variables["AWS_ENDPOINT_URL"] == {"Ref": "AWS::NoValue"}


def test_invoke_names_a_function() -> None:
    """samconfig.toml names the function that `sam local invoke` runs."""
    functions = [n for n, r in load(TEXT)["Resources"].items() if r["Type"].endswith("::Function")]
    assert len(functions) > 1  # otherwise no name would be needed
    assert INVOKE["function_logical_id"] in functions


def test_function_accepts_them(settings: dict[str, str]) -> None:
    """The function starts with them, and emits to the same port."""
    read = Settings.from_environ(settings, declared)
    assert read.development
    open_emitter(read.bus, read.session_secret)
    bus, aws = urlsplit(settings["BUS"]), urlsplit(settings["AWS_ENDPOINT_URL"])
    assert bus.netloc == aws.netloc
    assert LOCAL["add_host"] == INVOKE["add_host"] == [f"{aws.hostname}:host-gateway"]


def test_host_has_the_same(settings: dict[str, str]) -> None:
    """The host has the same settings, except those for AWS and the bus."""
    environ = sam_local.host_environ(TEXT, "http://127.0.0.1:1")
    different = {"BUS", "AWS_ENDPOINT_URL"}
    assert {name: environ[name] for name in settings.keys() - different} == {
        name: settings[name] for name in settings.keys() - different
    }
    assert environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert "BUS" not in environ


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Posts"}, "Posts"),
        ({"Fn::Sub": "dynamodb:${Posts}"}, "dynamodb:Posts"),
        ({"Fn::Sub": "dynamodb:${Posts}/${AWS::Region}"}, "on the laptop"),
        ({"Ref": "Queue"}, "on the laptop"),
        ("in the cloud", "on the laptop"),
    ],
)
def test_tables_are_shared(value: Any, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting for a table has its name here; others are those of development."""
    setting = Setting("STORE", "where things are kept", development="on the laptop")
    monkeypatch.setattr(sam_local, "declared", [setting])
    resources = {
        "Posts": {"Type": "AWS::DynamoDB::Table"},
        "Pages": {"Properties": {"Environment": {"Variables": {"STORE": value}}}, "Type": "F"},
    }
    assert sam_local.settings(json.dumps({"Resources": resources}))["STORE"] == expected


def test_containers_stay_warm_on_a_port_of_their_own() -> None:
    """What a page writes to disk persists, and scripts/dev keeps its port."""
    assert LOCAL["warm_containers"] == "LAZY"
    assert len({LOCAL["port"], sam_local.PORT, PORT}) == 3


@pytest.mark.parametrize("parameters", [LOCAL, INVOKE])
def test_every_way_to_run_it_has_the_settings(parameters: dict[str, str]) -> None:
    """Each of sam's commands reads the settings, in the region of the tables."""
    assert f">{parameters['env_vars']}" in (ROOT / "scripts/sam").read_text()
    assert parameters["region"] == REGION


def test_example_event() -> None:
    """The handler accepts the example event; what it answers is up to your pages."""
    event = json.loads((ROOT / INVOKE["event"]).read_text())
    code = (
        "import json, sys; from functions.app import handler; "
        "print(handler(json.loads(sys.argv[1]), None)['statusCode'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(event)], cwd=ROOT, capture_output=True, text=True
    )
    assert int(done.stdout.split()[-1]) < 500, done.stderr


# ---- scripts/sam local ----


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a built function, without sam."""
    (tmp_path / "scripts").mkdir()
    for script in ("sam", "help.sh"):
        shutil.copy(ROOT / "scripts" / script, tmp_path / "scripts" / script)
    (tmp_path / ".aws-sam/build").mkdir(parents=True)
    (tmp_path / ".aws-sam/build/template.yaml").touch()
    return tmp_path


def start_api(project: Path, *options: str) -> str:
    command = ["scripts/sam", "local", "start-api", *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode
    return done.stderr


def test_sam_local_without_a_build(project: Path) -> None:
    """It refuses to start without a build, because pages would be errors with status 200."""
    (project / ".aws-sam/build/template.yaml").unlink()
    assert "run scripts/sam build first" in start_api(project)


@pytest.mark.parametrize("words", ["-t x", "-tx", "--template x", "--template-file=x"])
def test_sam_local_with_another_template(project: Path, words: str) -> None:
    """Another template than the built one is refused, in any spelling."""
    output = start_api(project, "--port", "1", *words.split())
    assert f"leave out {words.split()[0]}" in output
    assert "leave" not in start_api(project, "--port", "1")


# ---- scripts/dev --pages ----


@asynccontextmanager
async def answering(text: str, kind: str) -> AsyncIterator[str]:
    """A server that answers everything with a text and status 200, as sam local does."""

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
    """The edge's response if sam local answers with a text."""
    async with answering(text, kind) as url, Proxy() as proxy:
        origins = {FUNCTION: PagesOrigin(url, proxy), SOCKET_HOST: Recorder("sockets")}
        async with running(origins=origins) as edge:
            return await edge.get("/")


async def test_function_that_was_not_built() -> None:
    """A function that cannot be imported causes a message that says what to run."""
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
    """Any error of the function is a 502 with its message and traceback."""
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
async def test_answer_that_resembles_an_error(text: str, kind: str) -> None:
    """A response that only resembles an error is unchanged."""
    answer = await page(text, kind)
    assert status(answer) == 200
    assert text in answer


def test_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port in use is named, with its purpose."""
    port = unlikely_port()
    monkeypatch.setattr(sam_local, "PORT", port)
    listeners = sam_local.listen()
    assert listeners[0].getsockname() == ("127.0.0.1", port)
    with pytest.raises(PortError, match=rf"Port {port}, which the function's container"):
        sam_local.listen()
    for listener in listeners:
        listener.close()


def test_not_reachable_from_other_machines() -> None:
    """The stand-in for AWS is reachable only from this machine and its containers."""
    assert "0.0.0.0" not in sam_local.bridges()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere engines run in a machine")
def test_podmans_network_may_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Podman's containers reach this machine, although their network starts with the first one."""
    monkeypatch.setattr(sam_local, "PORT", unlikely_port())
    monkeypatch.setattr(sam_local, "_BRIDGES", ())
    listeners = sam_local.listen()
    try:
        assert "10.88.0.1" in [listener.getsockname()[0] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


async def test_stand_in_has_the_templates_tables() -> None:
    """The stand-in for AWS has the template's tables, under their logical names."""
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
        resources = load(TEXT)["Resources"].items()
        tables = [name for name, r in resources if r["Type"] == "AWS::DynamoDB::Table"]
        assert tables
        assert sorted(found["TableNames"]) == sorted(tables)
    finally:
        await stand_in.stop()


async def test_stand_in_that_does_not_start(tmp_path: Path) -> None:
    """If the stand-in ends, its output is shown."""
    with pytest.raises(StandInError, match=r"No such file .*template\.yaml"):
        await StandIn.start(tmp_path / "template.yaml")
