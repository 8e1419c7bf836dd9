"""Reloading: each part of the site that a save affects runs the current files."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.commands.dev import background
from scripts.commands.dev.edge import Edge
from scripts.commands.dev.front_end import FrontEnd
from scripts.commands.dev.function import Function
from scripts.commands.dev.host import Host
from scripts.commands.dev.scheduler import Scheduler
from scripts.commands.dev.settings import OwnSettings
from scripts.commands.dev.template import Template
from scripts.commands.dev.template_error import TemplateError
from scripts.commands.dev.watch import DATA, FRONT_END, FUNCTION, HOST, TEMPLATE, Watch
from scripts.terminal import say


class Reload:
    """Passes every save to the parts it affects."""

    def __init__(
        self,
        template: Path,
        edge: Edge,
        hosts: Sequence[Host],
        function: Function | None,
        scheduler: Scheduler,
        front_end: FrontEnd,
        settings: OwnSettings,
    ) -> None:
        self._template = template
        self._edge = edge
        self._hosts = hosts
        self._function = function
        self._scheduler = scheduler
        self._front_end = front_end
        self._settings = settings
        self._restarting: asyncio.Task[None] | None = None

    async def watch(self, watched: Watch) -> None:
        """Follow all saves; if one fails, print why, and go on with the next."""
        async for reloads in watched.saves():
            try:
                if FUNCTION in reloads and HOST in reloads:  # such as the declaration of settings
                    await self._settings.renew()
                self._follow(reloads)
            except Exception as error:
                background.tell(f"Following the save of {', '.join(reloads.values())}", error)

    def _follow(self, reloads: Mapping[str, str]) -> None:
        if FRONT_END in reloads:
            self._front_end.save()
        if file := reloads.get(DATA):
            say(
                f"{file} was removed or replaced, or its permissions changed: "
                "both halves start again."
            )
            self._restart_function()
            self._restart_hosts()
            return
        if file := reloads.get(TEMPLATE):
            self._follow_template(file)
        if file := reloads.get(FUNCTION):
            if self._function:
                say(f"{file} was saved: the function starts again.")
            self._restart_function()
        if file := reloads.get(HOST):
            which = "socket host starts" if len(self._hosts) == 1 else "socket hosts start"
            say(f"{file} was saved: the {which} again.")
            self._restart_hosts()

    def _follow_template(self, file: str) -> None:
        try:
            template = Template.read(self._template)
        except TemplateError as error:
            say(f"{error} The behaviours stay as they were.")
            return
        self._edge.template = template
        self._scheduler.functions = template.functions
        say(f"{file} was saved: its behaviours are in effect.")
        for problem in template.functions.problems:
            say(problem)
        if self._function and template.function != self._function.settings:
            self._function.settings = template.function
            self._function.start()

    def _restart_function(self) -> None:
        self._scheduler.renew()
        if self._function:
            self._function.start()

    def _restart_hosts(self) -> None:
        if self._restarting:
            self._restarting.cancel()
        self._restarting = background.begin("Restarting the hosts", _restart(self._hosts))


async def _restart(hosts: Sequence[Host]) -> None:
    """Restart hosts one by one: each listens before the next stops, as in a deployment."""
    for host in hosts:
        host.restart()
        await host.settled()
        if host.address is None and len(hosts) > 1:
            say("The remaining socket hosts stay as they are.")
            return
