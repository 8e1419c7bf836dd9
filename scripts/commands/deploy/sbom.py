"""The SBOM: a list of the components of a half, as CycloneDX JSON, with hashes from the locks.

`python scripts/commands/deploy/sbom.py NAME FOLDER LOCK...` prints one for the packages in a
folder, and for the browser's packages if a package-lock.json is among the locks. The same
components always give the same SBOM. This needs only the standard library, because the image's
build runs it too.
"""

import base64
import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def sbom(name: str, folder: Path, locks: Sequence[Path]) -> str:
    """Return the SBOM of a half."""
    lists = "".join(lock.read_text() for lock in locks if lock.suffix == ".txt")
    components = list(_from_python(folder, lists))
    for lock in locks:
        if lock.suffix == ".json":
            components += _from_npm(json.loads(lock.read_text())["packages"])
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": name}},
        "components": sorted(components, key=lambda component: str(component["purl"])),
    }
    return json.dumps(document, indent=1) + "\n"


def _from_python(folder: Path, lists: str) -> Iterator[dict[str, Any]]:
    """Yield each installed package, with the hashes of its release's files.

    A package that is in no list, such as the image's pip, has none.
    """
    for distribution in distributions(path=[str(folder)]):
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        pin = re.compile(
            rf"^{re.escape(name)}(?:\[.*?\])?==\S+(?: ;.*?)? \\\n((?: +--hash.*\n?)+)", re.M
        )
        found = pin.search(lists)
        hashes = re.findall(r"sha256:(\w+)", found[1]) if found else []
        yield _component("pypi", name, distribution.version, [("SHA-256", h) for h in hashes])


def _from_npm(packages: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for path, package in packages.items():
        if path and not package.get("dev"):
            hashes = [
                (kind.replace("sha", "SHA-"), base64.b64decode(text).hex())
                for kind, _, text in (h.partition("-") for h in package["integrity"].split())
            ]
            name = path.rpartition("node_modules/")[2].replace("@", "%40")
            yield _component("npm", name, package["version"], hashes)


def _component(
    kind: str, name: str, version: str, hashes: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    purl = f"pkg:{kind}/{name}@{version}"
    found = {"type": "library", "bom-ref": purl, "name": name.replace("%40", "@")}
    found |= {"version": version, "purl": purl}
    files = [{"alg": algorithm, "content": content} for algorithm, content in hashes]
    if not files:
        return found
    # Those of all files of the release, because any of them may have been installed.
    source = {"type": "distribution", "url": purl, "hashes": files}
    return found | {"externalReferences": [source]}


def main(name: str, folder: str, *locks: str) -> None:
    """Print the SBOM for the command line's arguments."""
    print(sbom(name, Path(folder), [Path(lock) for lock in locks]), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
