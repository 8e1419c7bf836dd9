"""The room page's own scripts, run for many pages in Node."""

from pathlib import Path

PAGE = Path(__file__).parent / "page.mjs"
