"""A front end with a build, which runs before the first page and after each save."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.scripts.dev.edges import PATIENCE
from tests.scripts.dev.project import Dev, copy_project, running

pytestmark = [pytest.mark.together("reloads"), pytest.mark.asyncio(loop_scope="module")]

BUILD = """
import { readFileSync, writeFileSync } from "node:fs";

const source = readFileSync("frontend/app.js", "utf-8");
if (source.includes("mistake")) {
  console.error("app.js: this is a mistake");
  process.exit(1);
}
writeFileSync("functions/pages/static/app.js", `// built\\n${source}`);
"""

PAGES = '''"""One page, which loads what has been built."""

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from functions.web.site import Site


def start(app):
    pass


async def home(request):
    return PlainTextResponse(Site.of(request).assets.url("app.js"))


routes = [Route("/", home)]
'''


def write_package(root: Path, **scripts: str) -> None:
    (root / "package.json").write_text(json.dumps({"type": "module", "scripts": scripts}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dev(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dev]:
    """A site whose script is built by a short program."""
    root = copy_project(tmp_path_factory.mktemp("project"))
    (root / "functions/pages/__init__.py").write_text(PAGES)
    (root / "functions/pages/static").mkdir(exist_ok=True)
    (root / "frontend").mkdir()
    (root / "frontend/app.js").write_text("first();\n")
    (root / "build.mjs").write_text(BUILD)
    write_package(root, build="node build.mjs")
    async with running(root) as dev:
        yield dev


async def script(dev: Dev) -> str:
    """The page's current script, under the name that the page uses."""
    status, name = await dev.get("/")
    assert status == 200, name
    return (await dev.get(name))[1]


async def becomes(dev: Dev, text: str) -> None:
    """Wait until the page's script contains a text."""
    content = ""
    async with asyncio.timeout(PATIENCE):
        while text not in content:
            name = await dev.becomes("/", 200)
            content = (await dev.get(name))[1]


async def test_built_at_the_start(dev: Dev) -> None:
    """The first page has the built file, under a name with a hash."""
    assert re.fullmatch(r"/static/app\.[0-9a-f]{12}\.js", (await dev.get("/"))[1])
    assert await script(dev) == "// built\nfirst();\n"


async def test_built_again(dev: Dev) -> None:
    """A saved source is built, and the page loads the new script under another name."""
    before = (await dev.get("/"))[1]
    (dev.root / "frontend/app.js").write_text("second();\n")
    await becomes(dev, "second();")
    assert (await dev.get("/"))[1] != before


async def test_build_fails(dev: Dev) -> None:
    """A failing build prints why, and pages keep the previous build."""
    told = len(dev.said)
    before = await script(dev)
    (dev.root / "frontend/app.js").write_text("mistake\n")
    await dev.says("app.js: this is a mistake", after=told)
    await dev.says("pages have what was built before", after=told)
    assert await script(dev) == before
    (dev.root / "frontend/app.js").write_text("third();\n")
    await becomes(dev, "third();")


async def test_watch(dev: Dev) -> None:
    """A `watch` script is kept running instead of `build`."""
    watch = "node -e \"console.log('I watch'); setInterval(() => {}, 1000)\""
    told = len(dev.said)
    write_package(dev.root, build="node build.mjs", watch=watch)
    await dev.says("I watch", after=told)
