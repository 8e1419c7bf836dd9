"""Members: nobody comes in whose session has ended."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from socketio import exceptions

from functions.contract.session import Session
from functions.model.endings import open_endings
from socket_host.namespace import Namespace, every


class Members(Namespace):
    """Knows whose sessions have ended, for all namespaces that derive from it."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Know who has signed out everywhere."""
        self.endings = await asyncio.to_thread(open_endings, self.settings.own["ENDINGS"])
        self.ended = await asyncio.to_thread(self.endings.all)
        yield
        await asyncio.to_thread(self.endings.close)

    @every(1)
    async def load_endings(self) -> None:
        """Learn who has signed out everywhere, from any page."""
        self.ended = await asyncio.to_thread(self.endings.all)

    def admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        """Let nobody in whose session has ended; who drops and comes back is asked, too."""
        session = super().admit(sid, environ, auth)
        if session.signed_in_at < self.ended.get(session.id, 0.0):
            raise exceptions.ConnectionRefusedError(
                "You were signed out. Reload the page.", {"code": "session"}
            )
        return session
