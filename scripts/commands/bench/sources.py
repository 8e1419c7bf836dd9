"""Sources of what the benchmark compiles, builds or installs once, until they change."""

import hashlib
from pathlib import Path


def digest(path: Path) -> str:
    """Return 12 hex digits that stand for the content of a file, or of all files in a folder."""
    content = hashlib.sha256()
    for source in sorted(each for each in [path, *path.rglob("*")] if each.is_file()):
        content.update(source.read_bytes())
    return content.hexdigest()[:12]
