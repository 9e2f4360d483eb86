"""A real Chromium for the tests of pages: `$CHROMIUM`, one on the path, or the one that playwright has installed.

Where there is none, these tests are skipped; with `CI=true` that is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, for the tests of one file."""
    found = os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            # Its sandbox does not start as root, which is what containers run tests as.
            started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            told = f"no Chromium to test pages in: install it or name it in $CHROMIUM ({str(error).splitlines()[0]})"
            if os.environ.get("CI") == "true":
                pytest.fail(told)
            pytest.skip(told)
        yield started
        started.close()
