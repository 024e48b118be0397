"""A headless Chromium, this machine's own, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from playwright.async_api import Page, async_playwright

MILLISECONDS: Final = 60_000


def chromium() -> str:
    """Return Chromium's path; skip the test if there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        assert "CI" not in os.environ, "CI installs Chromium"
        pytest.skip("no Chromium on this machine")
    return path


@asynccontextmanager
async def browse(**options: Any) -> AsyncIterator[Page]:
    """Run a browser with one page; the options are those of Playwright's `new_context`."""
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=chromium()) as browser,
        await browser.new_context(**options) as context,
    ):
        context.set_default_timeout(MILLISECONDS)
        yield await context.new_page()
