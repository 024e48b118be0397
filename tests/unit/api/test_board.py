"""The page at /board: its files, and what a browser may do with them."""

import re

import httpx
import pytest

from orderfleet_api import board
from tests.unit.api.test_app import serving

_KIB = 1024


def test_all_of_the_page_is_small() -> None:
    assert sum(len(file.content) for file in board.read_files().values()) <= 100 * _KIB


def test_nothing_is_inline_or_comes_from_elsewhere() -> None:
    files = board.read_files()
    page = files["index.html"].content.decode()
    assert not re.findall(r"<style|style=|<script(?![^>]* src=)| on[a-z]+=", page)
    for name, file in files.items():
        text = file.content.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r"https?:|innerHTML|eval\(", text), name


def test_every_file_that_another_names_is_there() -> None:
    files = board.read_files()
    named = {
        name
        for file in files.values()
        for name in re.findall(r"""["'](?:\./|/board/)([\w.-]+)["']""", file.content.decode())
    }
    assert {"board.js", "style.css", "overview.js"} <= named <= files.keys()


async def test_the_root_leads_to_the_page(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        answer = await http.get("/")
        assert answer.status_code in {302, 307}
        assert answer.headers["Location"] == "/board"
        page = await http.get("/board")
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("name", "kind"), [("board.js", "text/javascript"), ("style.css", "text/css")]
)
async def test_a_browser_asks_again_and_gets_what_changed(
    unused_tcp_port: int, name: str, kind: str
) -> None:
    async with serving(unused_tcp_port) as http:
        first = await http.get(f"/board/{name}")
        assert first.headers["Content-Type"].startswith(kind)
        assert first.headers["Cache-Control"] == "no-cache"
        etag = first.headers["ETag"]
        again = await http.get(f"/board/{name}", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
        changed = await http.get(f"/board/{name}", headers={"If-None-Match": '"other"'})
        assert changed.content == first.content


async def _is_absent(http: httpx.AsyncClient, path: str) -> bool:
    return (await http.get(path)).status_code == 404


async def test_no_other_file_is_served(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        for path in ("/board/none.js", "/board/..%2fpyproject.toml", "/board/board.py"):
            assert await _is_absent(http, path), path
