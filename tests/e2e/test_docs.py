"""The API's documentation page, as a browser without the internet shows it."""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from tests.e2e.support.orders import Orders

pytestmark = pytest.mark.asyncio(loop_scope="session")

_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        assert "CI" not in os.environ, "CI installs Chromium"
        pytest.skip("no Chromium on this machine")
    return found


async def test_every_route_is_shown_without_the_internet(orders: Orders, tmp_path: Path) -> None:
    page = f"{orders.fleet.api_url}/docs"
    browser = await asyncio.create_subprocess_exec(
        *(_chromium(), *_QUIET, f"--user-data-dir={tmp_path}"),
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
