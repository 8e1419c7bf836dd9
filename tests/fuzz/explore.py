"""Fuzzes one target for a while, guided by coverage; needs `atheris`.

`python -m tests.fuzz.explore NAME SECONDS FOLDER` writes new inputs to FOLDER/found, and one that
fails to FOLDER/broken-…; the exit status shows whether there was one.
"""

import importlib
import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found]  # no dependency: has no wheels for new Pythons

import tests.conftest  # noqa: F401 - sets the environment with which pages are imported

with atheris.instrument_imports(include=["functions", "socket_host", "tests.fuzz"]):
    target = importlib.import_module(f"tests.fuzz.test_{sys.argv[1]}").TARGET

_MAX_LENGTH = 4_096  # bytes


def main(seconds: str, folder: Path) -> None:
    """Fuzz until the time is over, or an input fails."""
    found, words = folder / "found", folder / "words"
    found.mkdir(parents=True, exist_ok=True)
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words if word)
    words.write_text("".join(f'"{line}"\n' for line in lines))
    options = [f"-max_total_time={seconds}", f"-max_len={_MAX_LENGTH}", f"-dict={words}"]
    options += [
        "-len_control=0",
        f"-artifact_prefix={folder}/broken-",
        "-rss_limit_mb=2048",
        "-timeout=20",
    ]
    corpora = [str(found), *([str(target.folder)] if target.folder.is_dir() else [])]
    atheris.Setup([sys.argv[0], *options, *corpora], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[2], Path(sys.argv[3]))
