"""The front end while scripts/dev runs: built at the start, and again whenever it is saved."""

import asyncio

from scripts import frontend
from scripts.commands.dev.process import Process
from scripts.terminal import say


class FrontEnd:
    """Runs the `build` script of package.json, or leaves it to the `watch` script if there is one.

    What it writes into functions/pages/static is a save like any other.
    """

    def __init__(self) -> None:
        self._saved = asyncio.Event()

    @property
    def builds(self) -> bool:
        """Whether there is something to build."""
        return frontend.has_script(frontend.BUILD)

    def save(self) -> None:
        """Note that what it is made of has changed."""
        self._saved.set()

    async def build(self) -> None:
        """Build once, and say so if that fails: then pages have what was built before."""
        if self.builds:
            await self._run(frontend.BUILD)

    async def watch(self) -> None:
        """Build again after each save, or keep running what does."""
        while True:
            if frontend.has_script(frontend.WATCH):
                await self._run(frontend.WATCH)
            await self._saved.wait()
            self._saved.clear()
            if not frontend.has_script(frontend.WATCH):
                await self.build()

    async def _run(self, script: str) -> None:
        try:
            process = await Process.spawn("npm", ["scripts.frontend", script], {})
        except OSError as error:
            say(f"npm run {script} cannot be started: {error}.")
            return
        try:
            if await process.wait():
                say("The front end was not built: pages have what was built before.")
        finally:
            process.kill()
            await process.wait()
