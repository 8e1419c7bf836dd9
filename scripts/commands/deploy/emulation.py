"""Whether a container engine can build for another processor than its own."""

import subprocess
import sys
from pathlib import Path

_PATIENCE = 30  # seconds

# How engines are asked for their own processor, which each tells in words of its own.
_ASKED = {"docker": "{{.Architecture}}", "podman": "{{.Host.Arch}}", "finch": "{{.Architecture}}"}
_PLATFORMS = {
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
    "x86_64": "linux/amd64",
    "amd64": "linux/amd64",
}
# Under which name Linux has what runs the programs of a platform.
_EMULATORS = {"linux/arm64": "qemu-aarch64", "linux/amd64": "qemu-x86_64"}
_REGISTERED = Path("/proc/sys/fs/binfmt_misc")


def unable(program: str, platform: str) -> str | None:
    """Return why an engine cannot build for a platform, or None if it can or will not tell."""
    own = _PLATFORMS.get(_said([program, "info", "--format", _ASKED[program]]))
    # Elsewhere than on Linux engines run in a machine of their own, which emulates.
    if own in (None, platform) or not sys.platform.startswith("linux"):
        return None
    if (_REGISTERED / _EMULATORS[platform]).exists():
        return None
    if program == "docker" and platform in _said(["docker", "buildx", "inspect"]):
        return None
    return (
        f"{program} runs on {own} and cannot build for {platform}, which --architecture asks for: "
        f"{taught(program)}; or deploy with --architecture {_other(platform)}, or from another "
        "machine."
    )


def taught(program: str) -> str:
    """Return what has an engine build for another processor, as part of a sentence."""
    if program == "podman":  # which asks what registry that image is in, and has no rights for it
        return "the package qemu-user-static teaches it"
    return f"`{program} run --privileged --rm tonistiigi/binfmt --install all` teaches it"


def _other(platform: str) -> str:
    return "arm64" if platform == "linux/amd64" else "x86_64"


def _said(command: list[str]) -> str:
    """Return what a program prints, or nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()
