"""The parts of scripts/audit, which asks advisory databases about the pinned packages."""
