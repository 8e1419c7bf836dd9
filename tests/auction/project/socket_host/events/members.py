"""Members: visitors whose session has not ended."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from socketio import exceptions

from functions.contract.session import Session
from functions.model.endings import open_endings
from socket_host.namespace import Namespace, every


class Members(Namespace):
    """A base for namespaces that refuse ended sessions."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the ended sessions, and close their store at the end."""
        self.endings = await asyncio.to_thread(open_endings, self.settings.own["ENDINGS"])
        self.ended = await asyncio.to_thread(self.endings.all)
        yield
        await asyncio.to_thread(self.endings.close)

    @every(1)
    async def load_endings(self) -> None:
        """Reload the ended sessions, because any page may end some."""
        self.ended = await asyncio.to_thread(self.endings.all)

    def admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        """Refuse ended sessions, including those of clients that reconnect."""
        session = super().admit(sid, environ, auth)
        if session.signed_in_at < self.ended.get(session.id, 0.0):
            raise exceptions.ConnectionRefusedError(
                "You were signed out. Reload the page.", {"code": "session"}
            )
        return session
