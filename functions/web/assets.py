"""Static files under names that carry a hash of their content, so browsers keep them for ever."""

import base64
import hashlib
import json
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/static/"

_FOR_EVER = f"public, max-age={365 * 24 * 60 * 60}, immutable"  # seconds: a year, the customary end
_ASK_AGAIN = "no-cache"

# The system's own table differs from machine to machine; a module of another type does not run.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One static file in memory."""

    content: bytes
    media_type: str
    cache_control: str


class Assets:
    """Every file below some folders, read once: a function serves them from memory.

    Of two with one name the later folder's is taken. A file answers under its plain name too, to be
    asked for again each time.
    """

    def __init__(self, *folders: Path) -> None:
        self._hashed: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        files = {
            file.relative_to(folder).as_posix(): file
            for folder in folders
            for file in sorted(folder.rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        }
        for name, file in files.items():
            self._add(name, file.read_bytes())
        self.import_map = json.dumps({"imports": self._modules()}, separators=(",", ":"))

    def _add(self, name: str, content: bytes) -> None:
        path = Path(name)
        digest = hashlib.sha256(content).hexdigest()[:12]  # 48 bits: no clash in a folder by chance
        hashed = path.with_name(f"{path.stem}.{digest}{path.suffix}").as_posix()
        media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0]
        media_type = media_type or "application/octet-stream"
        self._hashed[name] = hashed
        self._assets[name] = Asset(content, media_type, _ASK_AGAIN)
        self._assets[hashed] = Asset(content, media_type, _FOR_EVER)

    def _modules(self) -> dict[str, str]:
        return {
            PREFIX + name: PREFIX + hashed
            for name, hashed in self._hashed.items()
            if name.endswith(".js")
        }

    def url(self, name: str) -> str:
        """Return the address of a file by its hashed name; raise KeyError if there is none."""
        if name not in self._hashed:
            raise KeyError(f"there is no {name} in functions/pages/static")
        return PREFIX + self._hashed[name]

    @property
    def import_map_hash(self) -> str:
        """The hash by which a Content-Security-Policy allows the inline import map."""
        digest = hashlib.sha256(self.import_map.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    async def serve(self, request: Request) -> Response:
        """Answer one file, or 404."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        headers = {"cache-control": asset.cache_control}
        return Response(asset.content, media_type=asset.media_type, headers=headers)
