"""Checks whether a container engine can build for another processor than its own."""

import subprocess
import sys
from pathlib import Path

_PATIENCE = 30  # seconds

# The field of `info` with an engine's own processor, whose names differ between engines.
_ASKED = {"docker": "{{.Architecture}}", "podman": "{{.Host.Arch}}", "finch": "{{.Architecture}}"}
_PLATFORMS = {
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
    "x86_64": "linux/amd64",
    "amd64": "linux/amd64",
}
# Names under which Linux registers the emulator of a platform.
_EMULATORS = {"linux/arm64": "qemu-aarch64", "linux/amd64": "qemu-x86_64"}
_REGISTERED = Path("/proc/sys/fs/binfmt_misc")


def unable(program: str, platform: str) -> str | None:
    """Return why an engine cannot build for a platform; None if it can, or that is unknown."""
    own = _PLATFORMS.get(_output([program, "info", "--format", _ASKED[program]]))
    # On other systems than Linux, engines run in a virtual machine that emulates.
    if own in (None, platform) or not sys.platform.startswith("linux"):
        return None
    if (_REGISTERED / _EMULATORS[platform]).exists():
        return None
    if program == "docker" and platform in _output(["docker", "buildx", "inspect"]):
        return None
    return (
        f"{program} runs on {own} and cannot build for {platform}, which --architecture asks for: "
        f"{remedy(program)}; or deploy with --architecture {_other(platform)}, or from another "
        "machine."
    )


def remedy(program: str) -> str:
    """Return how to let an engine build for another processor, as part of a sentence."""
    if program == "podman":  # without root, it could not run the image below
        return "install the package qemu-user-static"
    return f"run `{program} run --privileged --rm tonistiigi/binfmt --install all`"


def _other(platform: str) -> str:
    return "arm64" if platform == "linux/amd64" else "x86_64"


def _output(command: list[str]) -> str:
    """Return a program's output, or nothing if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()
