"""The front end while scripts/dev runs: built at the start, and after each save."""

import asyncio

from scripts import frontend
from scripts.commands.dev.process import Process
from scripts.terminal import say


class FrontEnd:
    """Runs the `build` script of package.json, or leaves it to the `watch` script if there is one.

    Its output in functions/pages/static counts as a save.
    """

    def __init__(self) -> None:
        self._saved = asyncio.Event()

    @property
    def builds(self) -> bool:
        """Whether there is something to build."""
        return frontend.has_script(frontend.BUILD)

    def save(self) -> None:
        """Note that a source has changed."""
        self._saved.set()

    async def build(self) -> None:
        """Build once; if that fails, print so, and pages keep the previous build."""
        if self.builds:
            await self._run(frontend.BUILD)

    async def watch(self) -> None:
        """Build after each save, or keep the `watch` script running."""
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
