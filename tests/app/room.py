"""The room's own scripts, for a crowd of pages in Node."""

from pathlib import Path

PAGE = Path(__file__).parent / "page.mjs"
