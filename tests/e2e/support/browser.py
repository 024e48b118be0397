"""A headless Chromium, driven through its debugging pipe."""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from orderfleet.polling import poll

QUIET: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_SECONDS: Final = 60


def chromium() -> str:
    """Return Chromium's path; skip the test if there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        assert "CI" not in os.environ, "CI installs Chromium"
        pytest.skip("no Chromium on this machine")
    return path


class Page:
    """A page of the browser."""

    def __init__(self, reader: asyncio.StreamReader, commands: int) -> None:
        self._reader = reader
        self._commands = commands
        self._number = 0
        self._session = ""

    async def open(self, url: str) -> None:
        """Go to a URL."""
        if not self._session:
            target = await self._call("Target.createTarget", url="about:blank")
            attached = await self._call(
                "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )
            self._session = attached["sessionId"]
        await self._call("Page.navigate", url=url)
        await self.until("document.readyState", "complete")

    async def run(self, script: str) -> Any:
        """Return the value of a script in the page."""
        answer = await self._call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, script: str, expected: str) -> str:
        """Wait until the value of a script contains a text, and return the value."""

        async def read() -> str:
            return str(await self.run(script))

        value = await poll(read, lambda text: expected in text, seconds=_SECONDS)
        assert expected in value, value
        return value

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(_SECONDS):
            while True:
                answer = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if answer.get("id") == self._number:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result


@asynccontextmanager
async def browse(profile: Path) -> AsyncIterator[Page]:
    """Run a browser with one page."""
    path = chromium()
    to_read, commands = os.pipe()
    answers, to_write = os.pipe()
    # Chromium reads its descriptor 3 and writes to 4.
    script = f'exec "$@" 3<&{to_read} 4>&{to_write}'
    browser = await asyncio.create_subprocess_exec(
        *("bash", "-c", script, "bash", path, *QUIET),
        *("--remote-debugging-pipe", f"--user-data-dir={profile}"),
        stdout=DEVNULL,
        stderr=DEVNULL,
        pass_fds=(to_read, to_write),
    )
    os.close(to_read)
    os.close(to_write)
    reader = asyncio.StreamReader(limit=2**24)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb")
    )
    try:
        yield Page(reader, commands)
    finally:
        transport.close()
        os.close(commands)
        browser.kill()
        await browser.wait()
