"""The API's documentation page, as a browser without the internet shows it."""

import asyncio
import re
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from tests.e2e.support.browser import QUIET, chromium
from tests.e2e.support.orders import Orders

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_route_is_shown_without_the_internet(orders: Orders, tmp_path: Path) -> None:
    page = f"{orders.fleet.api_url}/docs"
    browser = await asyncio.create_subprocess_exec(
        *(chromium(), *QUIET, f"--user-data-dir={tmp_path}"),
        *("--virtual-time-budget=10000", "--dump-dom", page),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    async with asyncio.timeout(60):
        html, _ = await browser.communicate()
    shown = set(re.findall(r'data-path="([^"]+)"', html.decode()))
    document = (await orders.http.get("/docs/openapi.json")).json()
    assert shown == set(document["paths"])
    # The page asks nobody else for anything.
    served = (await orders.http.get("/docs")).text
    assert not re.findall(r"""(?:src|href)=["']https?://""", served)
