"""Recipients of an event: every form in which a handler may write them."""

from pathlib import Path
from typing import Any

from socket_host.namespace import Namespace
from tests.kit.clients import clients
from tests.kit.hosts import on_each_transport, serving, token, url


class Quiet(Namespace):
    """Answers nothing."""


@on_each_transport
async def test_recipients(tmp_path: Path, transport: str) -> None:
    """A list, tuple or set of rooms reaches all of them; an empty one, or an empty name, nobody."""
    async with serving(tmp_path, Quiet, transport=transport) as host, clients() as people:
        quiet: Any = host.namespaces[0]
        ann = await people.connect(url(host), token("Ann"))
        (sid,) = quiet._clients
        await quiet.enter_room(sid, "garden")
        for number, some in enumerate(
            ([sid], (sid, "garden"), {"garden", "attic"}, frozenset(["garden"]), "garden", sid)
        ):
            for option in ("to", "room"):
                await quiet.emit("heard", [number, option], **{option: some})
                assert await ann.receive("heard") == [number, option]
        for nobody in ([], (), set(), "", ["attic"]):
            for option in ("to", "room"):
                await quiet.emit("heard", [repr(nobody), option], **{option: nobody})
        for skipped in (sid, [sid], (sid,), {sid}):
            await quiet.emit("heard", repr(skipped), skip_sid=skipped)
            await quiet.emit("heard", repr(skipped), room=["garden"], skip_sid=skipped)
        await quiet.emit("heard", "end")
        assert await ann.receive("heard") == "end"
