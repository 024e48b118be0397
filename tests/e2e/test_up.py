"""`orderfleet up`, `down` and `demo`, as users type them."""

import re
import signal
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from orderfleet_cli.local.pid_files import PidFile
from tests.e2e.support.orders import HOME, PATIENCE, eventually
from tests.e2e.support.programs import Output, run_program

pytestmark = pytest.mark.alone

_UP = "Press Ctrl-C to stop."
_SERVERS = {"postgres", "temporal", "api", "order-worker", "shipping-worker"}


def _pid_files(data: Path) -> dict[str, PidFile]:
    contents = [path.read_bytes() for path in data.glob("run/*.json")]
    pid_files = [msgspec.json.decode(content, type=PidFile) for content in contents]
    return {pid_file.name: pid_file for pid_file in pid_files}


def _alive(pids: set[int]) -> set[int]:
    alive = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                alive.add(pid)
        except psutil.NoSuchProcess:
            continue
    return alive


async def _api(up: Output) -> httpx.AsyncClient:
    await up.until(_UP)
    url = next(line.split()[1] for line in up.lines if line.startswith("API  "))
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE)


async def _fulfil(http: httpx.AsyncClient, order_id: str) -> None:
    body = {"payment_id": f"pay-{order_id}", "address": HOME}
    assert (await http.post(f"/orders/{order_id}/start", json=body)).status_code == 202
    await eventually(
        lambda: http.get(f"/orders/{order_id}"),
        lambda answer: answer.json()["state"] == "fulfilled",
    )


async def _down(cwd: Path) -> list[str]:
    async with run_program("orderfleet", "down", cwd=cwd) as down:
        assert await down.end(seconds=60) == 0, down.lines
    return down.lines


def _open_to_others(data: Path) -> list[Path]:
    paths = []
    for path in (data, *data.rglob("*")):
        # Postgres and its like remove files at any time.
        with suppress(FileNotFoundError):
            if path.lstat().st_mode & 0o077:
                paths.append(path)
    return paths


async def test_up_survives_its_children_and_down_its_own_death(tmp_path: Path) -> None:
    data = tmp_path / ".data"
    # As an older release left it for a user with a careless umask.
    data.mkdir(mode=0o755)
    async with run_program("orderfleet", "up", cwd=tmp_path, umask=0) as up:
        try:
            async with await _api(up) as http:
                for name in ("shipping-worker", "api"):
                    psutil.Process(_pid_files(data)[name].pid).kill()
                    assert "SIGKILL" in await up.until(f"{name} was killed")
                    await up.until(f"{name} restarted")
                await _fulfil(http, "kept")
            assert _open_to_others(data) == []
            pid_files = _pid_files(data)
            assert pid_files.keys() == _SERVERS | {"orderfleet"}
            pids = {child.pid for child in psutil.Process(up.child.pid).children(recursive=True)}
            assert {pid_files[name].pid for name in _SERVERS} <= pids
            up.signal(signal.SIGKILL)
            await up.child.wait()
            # Without their owner they go on, and the next command knows them.
            assert {pid_files[name].pid for name in _SERVERS} <= _alive(pids)
        finally:
            stopped = await _down(tmp_path)
    assert {line.split()[1] for line in stopped} >= _SERVERS
    assert _alive(pids) == set()
    assert not list(data.glob("run/*.json"))
    assert await _down(tmp_path) == ["nothing to stop"]

    # The data is still there, and SIGTERM ends all in order.
    async with run_program("orderfleet", "up", cwd=tmp_path) as up:
        try:
            async with await _api(up) as http:
                assert (await http.get("/orders/kept")).json()["state"] == "fulfilled"
            pids = {child.pid for child in psutil.Process(up.child.pid).children(recursive=True)}
            up.signal(signal.SIGTERM)
            assert await up.end(seconds=60) == 0
            assert up.lines[-1] == "stopped"
            assert _alive(pids) == set()
        finally:
            await _down(tmp_path)


@pytest.mark.timeout(180)
async def test_the_demo_on_a_pipe(tmp_path: Path) -> None:
    async with run_program("orderfleet", "demo", cwd=tmp_path) as demo:
        try:
            status = await demo.end(seconds=150)
        finally:
            left = await _down(tmp_path)
    output = "\n".join(demo.lines)
    assert status == 0, output
    assert left == ["nothing to stop"]
    assert re.search(r"All \d+ orders ended as expected", output)
    assert "captured" in output
    # Nothing that only a terminal understands.
    assert "\x1b" not in output
    assert "\r" not in output
