"""The API's documentation page, as a browser without the internet shows it."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.support.browser import MILLISECONDS, browse
from tests.e2e.support.orders import Orders

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_route_is_shown_without_the_internet(orders: Orders) -> None:
    document = (await orders.http.get("/docs/openapi.json")).json()
    asked: set[str] = set()
    async with browse() as page:
        page.on("request", lambda request: asked.add(request.url))
        await page.goto(f"{orders.fleet.api_url}/docs")
        routes = page.locator("[data-path]")
        operations = sum(len(methods) for methods in document["paths"].values())
        await expect(routes).to_have_count(operations, timeout=MILLISECONDS)
        shown = {await route.get_attribute("data-path") for route in await routes.all()}
    assert shown == set(document["paths"])
    # The page asks nobody else for anything.
    others = {url for url in asked if not url.startswith((orders.fleet.api_url, "data:"))}
    assert not others
    served = (await orders.http.get("/docs")).text
    assert not re.findall(r"""(?:src|href)=["']https?://""", served)
