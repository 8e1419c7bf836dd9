"""Static files under names with a hash of their content, so browsers can keep them forever."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/static/"

_FOR_EVER = f"public, max-age={365 * 24 * 60 * 60}, immutable"  # seconds: a year, the customary end
_ASK_AGAIN = "no-cache"

# The system's table differs between machines, and Python's between versions; browsers do not run
# modules with the wrong type.
_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
    ".zip": "application/zip",
}
_UNKNOWN = "application/octet-stream"

_LONGEST_NAME = 1_000  # characters in a request; normalizing accents takes quadratic time


@dataclass(frozen=True)
class Asset:
    """One static file in memory."""

    content: bytes
    media_type: str
    cache_control: str
    etag: str  # weak, because it is the same for the compressed file


def _files(folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yield every file below folders with its name; skip hidden files and folders."""
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            path = file.relative_to(folder)
            if file.is_file() and not any(part.startswith(".") for part in path.parts):
                yield _name(path), file


class Assets:
    """The files below some folders, read once and served from memory.

    If two files have the same name, the later folder's is used; a style sheet is appended to the
    earlier one, so that a page loads one file. A file is also served under its plain name, which
    browsers revalidate each time.
    """

    def __init__(self, *folders: Path) -> None:
        self._hashed: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        contents: dict[str, bytes] = {}
        for name, file in _files(folders):
            before = contents.get(name, b"") if file.suffix == ".css" else b""
            contents[name] = before + file.read_bytes()
        for name, content in contents.items():
            self._add(name, content)
        self.import_map = json.dumps({"imports": self._modules()}, separators=(",", ":"))

    def _add(self, name: str, content: bytes) -> None:
        path = Path(name)
        digest = hashlib.sha256(content).hexdigest()[:12]  # 48 bits: no clash in a folder by chance
        hashed = path.with_name(f"{path.stem}.{digest}{path.suffix}").as_posix()
        media_type = _TYPES.get(path.suffix.lower(), _UNKNOWN)
        self._hashed[name] = hashed
        etag = f'W/"{digest}"'
        self._assets[name] = Asset(content, media_type, _ASK_AGAIN, etag)
        self._assets[hashed] = Asset(content, media_type, _FOR_EVER, etag)

    def _modules(self) -> dict[str, str]:
        return {
            _address(name): _address(hashed)
            for name, hashed in self._hashed.items()
            if name.endswith((".js", ".mjs"))
        }

    def url(self, name: str) -> str:
        """Return the address of a file by its hashed name; raise KeyError if there is none."""
        hashed = self._hashed.get(normalize("NFC", name))
        if hashed is None:
            raise KeyError(f"there is no {name} in functions/pages/static")
        return _address(hashed)

    @property
    def import_map_hash(self) -> str:
        """The hash by which a Content-Security-Policy allows the inline import map."""
        digest = hashlib.sha256(self.import_map.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    async def serve(self, request: Request) -> Response:
        """Answer with a file, with 304 if the browser has its current version, or with 404."""
        name = request.path_params["name"].rstrip("/")
        asset = self._assets.get(normalize("NFC", name)) if len(name) <= _LONGEST_NAME else None
        if asset is None:
            raise HTTPException(404)
        headers = {"cache-control": asset.cache_control, "etag": asset.etag}
        if _has(",".join(request.headers.getlist("if-none-match")), asset.etag):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)


def _name(path: Path) -> str:
    """Return a file's name with accents in normal form; macOS decomposes them."""
    return normalize("NFC", path.as_posix())


def _address(name: str) -> str:
    """Return the address of a file, as it is written in a page."""
    return PREFIX + quote(name, errors="surrogateescape")


def _has(if_none_match: str, etag: str) -> bool:
    """Whether the browser already has a file (RFC 9110, section 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag.removeprefix("W/") in tags or tags == ["*"]
