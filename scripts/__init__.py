"""What `scripts/dev` and its siblings are made of; nothing here is deployed."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository
