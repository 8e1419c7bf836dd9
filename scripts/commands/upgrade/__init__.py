"""The parts of scripts/upgrade."""
