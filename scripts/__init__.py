"""The Python parts of the commands in scripts/; nothing here is deployed."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository
