"""Engines that cannot build for the requested processor."""

from pathlib import Path

import pytest

from scripts.commands.deploy import emulation


def engine(folder: Path, name: str, own: str, platforms: str = "") -> None:
    """A program that answers like an engine on a processor."""
    program = folder / name
    answers = f'info) echo {own} ;; buildx) echo "Platforms: {platforms}" ;;'
    program.write_text(f'#!/bin/sh\ncase "$1" in {answers} esac\n')
    program.chmod(0o755)


@pytest.fixture
def registered(nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of Linux's emulators; there are none."""
    folder = tmp_path / "binfmt"
    folder.mkdir()
    monkeypatch.setattr(emulation, "_REGISTERED", folder)
    monkeypatch.setattr("sys.platform", "linux")
    return folder


@pytest.mark.parametrize("name", ["docker", "podman", "finch"])
def test_engine_without_emulation(name: str, nothing: Path, registered: Path) -> None:
    """An engine on another processor is refused, with three ways out."""
    engine(nothing, name, "x86_64", "linux/amd64, linux/386")
    why = emulation.unable(name, "linux/arm64")
    assert why
    assert why.startswith(f"{name} runs on linux/amd64 and cannot build for linux/arm64")
    assert emulation.remedy(name) in why
    assert "--architecture x86_64" in why


def test_engine_on_the_same_processor(nothing: Path, registered: Path) -> None:
    """Whatever its name for the processor, an engine can build for its own."""
    for own in ("aarch64", "arm64"):
        engine(nothing, "docker", own)
        assert emulation.unable("docker", "linux/arm64") is None


def test_engine_with_an_emulator(nothing: Path, registered: Path) -> None:
    """Linux's emulators work for every engine."""
    engine(nothing, "podman", "amd64")
    (registered / "qemu-aarch64").touch()
    assert emulation.unable("podman", "linux/arm64") is None


def test_builder_elsewhere(nothing: Path, registered: Path) -> None:
    """Docker's builder, which may run elsewhere, may support the processor."""
    engine(nothing, "docker", "x86_64", "linux/amd64, linux/arm64*")
    assert emulation.unable("docker", "linux/arm64") is None


def test_engine_in_a_virtual_machine(
    nothing: Path, registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS, an engine's virtual machine emulates by itself."""
    monkeypatch.setattr("sys.platform", "darwin")
    engine(nothing, "docker", "x86_64", "linux/amd64")
    assert emulation.unable("docker", "linux/arm64") is None


def test_engine_of_unknown_processor(nothing: Path, registered: Path) -> None:
    """If an engine does not report its processor, the build is tried."""
    engine(nothing, "podman", "")
    assert emulation.unable("podman", "linux/arm64") is None
