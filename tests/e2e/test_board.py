"""The board in a browser: an order comes and goes, by whom, on which screen, and what if not."""

import re
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.e2e.support.apis import READER
from tests.e2e.support.browser import browse, check_access, enter_key
from tests.e2e.support.orders import Orders

pytestmark = pytest.mark.asyncio(loop_scope="session")

# By the feed, or without it.
_CONNECTED: Final = re.compile("Live|Every second")
_DESK: Final[ViewportSize] = {"width": 1280, "height": 800}
_PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


@pytest.fixture(scope="module")
def address(desk: Orders) -> str:
    return str(desk.http.base_url)


class Seen:
    """What a page asked for, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.asked: set[str] = set()
        self.errors: list[str] = []
        page.on("request", lambda request: self.asked.add(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._read)

    def _read(self, message: Any) -> None:
        # Chromium reports each answer of 401 by itself: a key that is missing, or refused.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


async def test_a_key_is_asked_for_once_and_an_order_comes_and_goes(
    desk: Orders, address: str
) -> None:
    async with browse(viewport=_DESK) as page:
        seen = Seen(page)
        await page.goto(address)
        assert page.url == f"{address}/board"
        await check_access(page)
        await enter_key(page, "wrong")
        await expect(page.get_by_text("The API refused that key.")).to_be_visible()
        await enter_key(page, READER)
        await expect(page.get_by_role("status")).to_have_text(_CONNECTED)
        table = page.get_by_role("table", name="Open orders")
        ended = page.get_by_role("table", name="The orders that have ended last")
        order_id = await desk.place("plain")
        row = table.get_by_role("row", name=order_id)
        await expect(row).to_contain_text("in review")
        await page.reload()
        # The key is kept: nothing is asked for.
        await expect(row.or_(ended.get_by_role("row", name=order_id))).to_be_visible()
        await desk.review(order_id, approved=True)
        await desk.ended(order_id)
        await expect(ended.get_by_role("row", name=order_id)).to_contain_text("fulfilled")
        await expect(row).to_have_count(0)
        assert await page.get_by_role("dialog").count() == 0
        assert {url for url in seen.asked if not url.startswith(address)} == set()
        assert seen.errors == []


async def test_everybody_can_read_it_on_every_screen(orders: Orders, address: str) -> None:
    # The files may be kept, if the browser asks each time; everything else is not stored at all.
    assert (await orders.http.get("/board")).headers["Cache-Control"] == "no-cache"
    order_id = await orders.place("refused-once")
    async with browse(viewport=_DESK) as page:
        await page.goto(f"{address}/board")
        await enter_key(page, READER)
        await expect(page.get_by_role("link", name=order_id)).to_be_visible()
        await expect(page.get_by_text("running").first).to_be_visible()
        for scheme in _SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            for screen in (_DESK, _PHONE):
                await page.set_viewport_size(screen)
                await check_access(page)
                width = await page.evaluate("document.documentElement.scrollWidth")
                assert width == screen["width"]


async def test_a_board_without_its_api_says_so_and_recovers(address: str) -> None:
    async with browse(viewport=_DESK) as page:
        await page.goto(f"{address}/board")
        await enter_key(page, READER)
        status = page.get_by_role("status")
        await expect(status).to_have_text(_CONNECTED)
        await page.context.set_offline(True)
        await expect(status).to_have_text("Disconnected")
        await expect(page.get_by_text("This is what was known at")).to_be_visible()
        await page.context.set_offline(False)
        await expect(status).to_have_text(_CONNECTED)
        await expect(page.get_by_text("This is what was known at")).to_be_hidden()
