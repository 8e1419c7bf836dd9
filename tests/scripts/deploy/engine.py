"""A stand-in for a container engine: it has Docker's options, and registers pushed images.

Its folder has the files `calls`, with a line of JSON for each, and `built`, with the last image's
name. A file `broken` there names a command that fails. Any tag refers to DIGEST in the registry.
"""

import hashlib
import json
import sys
from pathlib import Path

HERE = Path(sys.argv[0]).parent
DIGEST = f"sha256:{'5' * 64}"


def install(folder: Path) -> Path:
    """Make a folder that contains only `docker`, which is this file."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
    program.chmod(0o755)
    return folder


def main(command: str, *words: str) -> None:
    """Imitate a command, as far as other programs can tell."""
    broken = HERE / "broken"
    if broken.exists() and broken.read_text() == command:
        sys.exit(f"{command}: exec format error")
    typed = sys.stdin.read() if "--password-stdin" in words else ""
    with (HERE / "calls").open("a") as calls:
        calls.write(json.dumps([command, *words, typed]) + "\n")
    if command == "buildx":
        print(DIGEST)
    if command == "build":
        options = dict(zip(words[::2], words[1::2], strict=False))
        assert Path(options["--file"]).is_file()
        (HERE / "built").write_text(options["--tag"])
    if command == "push":
        _push(words[0])


def calls(folder: Path) -> list[list[str]]:
    """The engine's calls since the last time, each with its standard input."""
    file = folder / "calls"
    if not file.exists():
        return []
    found = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    return [call for call in found if call[0] not in ("info", "buildx")]


def _push(reference: str) -> None:
    import boto3  # slow to import, and only needed here

    assert (HERE / "built").read_text() == reference, "it was never built"
    registry, _, rest = reference.partition("/")
    name, _, tag = rest.partition(":")
    content = hashlib.sha256(reference.encode()).hexdigest()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": f"sha256:{content}", "size": 1},
        "layers": [{"digest": f"sha256:{content}", "size": 1}],  # moto identifies an image by this
    }
    region = registry.split(".")[3]
    boto3.client("ecr", region_name=region).put_image(
        repositoryName=name, imageTag=tag, imageManifest=json.dumps(manifest)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
