"""The built site, in Chromium; it asks nobody but its own server. `make test-docs-site`."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Page, expect

from tests.e2e.support.browser import browse, check_access

_SITE: Final = Path(__file__).parents[2] / "dist" / "docs"
_VERSION: Final = os.environ.get("DOCS_VERSION") or "next"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(_SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _watch(page: Page, url: str) -> tuple[set[str], list[str]]:
    """Return what the page asks of others, and its errors; both fill while it is used."""
    others: set[str] = set()
    errors: list[str] = []
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((url, "data:", "blob:")) else others.add(request.url)
        ),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    return others, errors


async def test_front_page_leads_from_the_versions_to_every_group(url: str) -> None:
    async with browse() as page:
        others, errors = _watch(page, url)
        await page.goto(url)
        await check_access(page)
        await page.get_by_role("link", name=_VERSION, exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Orderfleet")
        picture = page.get_by_role("main").get_by_role("img").first
        assert await picture.evaluate("image => image.complete && image.naturalWidth > 0")
        navigation = page.locator(".sidebar-tree")
        for group in ("Start", "Understand", "Install", "Operate", "Measured", "Develop"):
            await expect(navigation.get_by_text(group, exact=True).first).to_be_attached()
        await page.get_by_role("main").get_by_role("link", name="the tutorial").click()
        await expect(page).to_have_url(f"{url}/{_VERSION}/docs/tutorial.html")
    assert not others
    assert not errors


async def test_search_finds_a_page_and_what_it_says(url: str) -> None:
    async with browse() as page:
        others, errors = _watch(page, url)
        await page.goto(f"{url}/{_VERSION}/README.html")
        await page.get_by_role("textbox", name="Search").fill("ReconciliationNeeded")
        await page.keyboard.press("Enter")
        results = page.locator("#search-results li")
        await expect(results.filter(has_text="ReconciliationNeeded").first).to_be_visible()
        await results.get_by_role("link", name="ReconciliationNeeded").first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("ReconciliationNeeded")
    assert not others
    assert not errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_diagrams_follow_light_and_dark(url: str, scheme: str) -> None:
    async with browse(color_scheme=scheme) as page:
        others, errors = _watch(page, url)
        for name in ("architecture", "versions", "api", "admission"):
            await page.goto(f"{url}/{_VERSION}/docs/{name}.html")
            diagrams = page.locator("pre.mermaid")
            drawn = page.locator("pre.mermaid svg[aria-roledescription]")
            await expect(drawn).to_have_count(await diagrams.count())
            titles = [
                await drawn.nth(n).locator("title").first.text_content()
                for n in range(await drawn.count())
            ]
            assert all(titles)
            assert not await page.get_by_text("Syntax error").count()
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        lightness = [int(part) for part in background.strip("rgba()").split(",")[:3]]
        assert (max(lightness) < 80) == (scheme == "dark"), background
    assert not others
    assert not errors
