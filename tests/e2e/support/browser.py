"""A headless Chromium, this machine's own, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final

import pytest
from playwright.async_api import Page, async_playwright, expect

MILLISECONDS: Final = 60_000
_AXE: Final = files("axe_playwright_python") / "axe.min.js"


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
        expect.set_options(timeout=MILLISECONDS)
        yield await context.new_page()


async def enter_key(page: Page, key: str) -> None:
    """Enter an API key, which the board asks for."""
    await page.get_by_label("Key", exact=True).fill(key)
    await page.get_by_role("button", name="Continue").click()


async def check_access(page: Page) -> None:
    """Check by axe-core that everybody can use the page."""
    await page.evaluate(_AXE.read_text())
    results = await page.evaluate("axe.run()")
    assert [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in results["violations"]
    ] == []
