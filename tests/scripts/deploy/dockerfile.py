"""socket_host/Dockerfile for tests."""

from scripts import ROOT


def instructions(name: str) -> list[str]:
    """The arguments of each instruction with this name in the Dockerfile."""
    text = (ROOT / "socket_host/Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.partition(" ") for line in text.splitlines() if not line.startswith("#")]
    return [rest.strip() for instruction, _, rest in lines if instruction == name]
