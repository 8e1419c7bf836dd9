"""Engines that cannot build for the processor that is asked for."""

from pathlib import Path

import pytest

from scripts.commands.deploy import emulation


def engine(folder: Path, name: str, own: str, platforms: str = "") -> None:
    """A program that answers as an engine does that runs on a processor."""
    program = folder / name
    answers = f'info) echo {own} ;; buildx) echo "Platforms: {platforms}" ;;'
    program.write_text(f'#!/bin/sh\ncase "$1" in {answers} esac\n')
    program.chmod(0o755)


@pytest.fixture
def registered(nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Linux has its emulators; there are none."""
    folder = tmp_path / "binfmt"
    folder.mkdir()
    monkeypatch.setattr(emulation, "_REGISTERED", folder)
    monkeypatch.setattr("sys.platform", "linux")
    return folder


@pytest.mark.parametrize("name", ["docker", "podman", "finch"])
def test_engine_without_emulation(name: str, nothing: Path, registered: Path) -> None:
    """An engine on another processor says so, and three ways out of it."""
    engine(nothing, name, "x86_64", "linux/amd64, linux/386")
    why = emulation.unable(name, "linux/arm64")
    assert why
    assert why.startswith(f"{name} runs on linux/amd64 and cannot build for linux/arm64")
    assert emulation.remedy(name) in why
    assert "--architecture x86_64" in why


def test_engine_on_the_same_processor(nothing: Path, registered: Path) -> None:
    """Whatever words an engine has for its processor, it can build for that."""
    for own in ("aarch64", "arm64"):
        engine(nothing, "docker", own)
        assert emulation.unable("docker", "linux/arm64") is None


def test_engine_with_an_emulator(nothing: Path, registered: Path) -> None:
    """Linux's emulators serve every engine."""
    engine(nothing, "podman", "amd64")
    (registered / "qemu-aarch64").touch()
    assert emulation.unable("podman", "linux/arm64") is None


def test_builder_elsewhere(nothing: Path, registered: Path) -> None:
    """Docker knows whether its builder, which may be another machine, can."""
    engine(nothing, "docker", "x86_64", "linux/amd64, linux/arm64*")
    assert emulation.unable("docker", "linux/arm64") is None


def test_engine_in_a_machine_of_its_own(
    nothing: Path, registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS an engine's machine emulates by itself."""
    monkeypatch.setattr("sys.platform", "darwin")
    engine(nothing, "docker", "x86_64", "linux/amd64")
    assert emulation.unable("docker", "linux/arm64") is None


def test_engine_that_does_not_tell(nothing: Path, registered: Path) -> None:
    """Where an engine says nothing of its processor, the build will tell."""
    engine(nothing, "podman", "")
    assert emulation.unable("podman", "linux/arm64") is None
