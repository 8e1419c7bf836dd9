"""Under `sam local`, pages share rooms with the sockets of scripts/dev."""

from pathlib import Path

from aiohttp import ClientSession

from functions.contract.session import SAMPLE_SECRET
from tests.kit.clients import clients
from tests.kit.hosts import token
from tests.scripts.dev import sam_local
from tests.scripts.dev.project import copy_project, running


async def test_page_and_sockets_share_a_room(tmp_path: Path) -> None:
    """A form's message is sent to sockets, and a socket's message is on the next page."""
    root = copy_project(tmp_path)
    port = sam_local.move(root)
    async with (
        sam_local.pages(port) as pages,
        running(root, "--pages", pages) as dev,
        clients() as made,
        ClientSession() as browser,
    ):
        client = await made.connect(dev.url, token(secret=SAMPLE_SECRET))
        await (await browser.get(dev.url)).text()
        fields = {"id": "m1", "text": "by hand"}
        answer = await browser.post(f"{dev.url}/rooms/lobby", data=fields)
        assert (answer.status, answer.url.path) == (200, "/")
        assert "by hand" in await answer.text()
        assert (await client.receive("message"))["text"] == "by hand"
        assert "error" not in await client.call("message", {"id": "m2", "text": "by socket"})
        page = await dev.becomes("/", 200, "by socket")
        assert "by hand" in page
