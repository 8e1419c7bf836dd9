"""A real browser: Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

PATIENCE = 30_000  # ms: a deadline that even a busy machine meets

# Options for running as root in a container, without access to the internet.
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Chromium, closed at the end, with long timeouts for slow machines."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_executable(), args=[*ARGUMENTS, *arguments]
        )
        yield browser
        browser.close()


def _executable() -> str:
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, (
        "Chromium is missing: install it (on Debian: apt-get install chromium-headless-shell)."
    )
    return found
