"""Hashes of sources, which are built or installed again only when they change."""

import hashlib
from pathlib import Path


def digest(path: Path) -> str:
    """Return 12 hex digits of a hash of a file, or of all files in a folder."""
    content = hashlib.sha256()
    for source in sorted(each for each in [path, *path.rglob("*")] if each.is_file()):
        content.update(source.read_bytes())
    return content.hexdigest()[:12]
