"""`orderfleet up`, `down` and `demo`, as one types them."""

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

_UP = "Press Ctrl-C to stop."
_SERVERS = {"postgres", "temporal", "api", "order-worker", "shipping-worker"}


def _records(data: Path) -> dict[str, PidFile]:
    found = (msgspec.json.decode(one.read_bytes(), type=PidFile) for one in data.glob("run/*.json"))
    return {record.name: record for record in found}


def _alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
        except psutil.NoSuchProcess:
            continue
    return found


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
    found = []
    for path in (data, *data.rglob("*")):
        # Postgres and its like remove files at any time.
        with suppress(FileNotFoundError):
            if path.lstat().st_mode & 0o077:
                found.append(path)
    return found


async def test_up_survives_its_children_and_down_its_own_death(tmp_path: Path) -> None:
    data = tmp_path / ".data"
    # As a release before this one left it, for a user who is careless.
    data.mkdir(mode=0o755)
    async with run_program("orderfleet", "up", cwd=tmp_path, umask=0) as up:
        try:
            async with await _api(up) as http:
                for name in ("shipping-worker", "api"):
                    psutil.Process(_records(data)[name].pid).kill()
                    assert "SIGKILL" in await up.until(f"{name} was killed")
                    await up.until(f"{name} restarted")
                await _fulfil(http, "kept")
            assert _open_to_others(data) == []
            records = _records(data)
            assert records.keys() == _SERVERS | {"orderfleet"}
            pids = {one.pid for one in psutil.Process(up.child.pid).children(recursive=True)}
            assert {records[name].pid for name in _SERVERS} <= pids
            up.signal(signal.SIGKILL)
            await up.child.wait()
            # Without their owner they go on, and the next command knows them.
            assert {records[name].pid for name in _SERVERS} <= _alive(pids)
        finally:
            told = await _down(tmp_path)
    assert {line.split()[1] for line in told} >= _SERVERS
    assert _alive(pids) == set()
    assert not list(data.glob("run/*.json"))
    assert await _down(tmp_path) == ["nothing to stop"]

    # The data is still there, and SIGTERM ends all in order.
    async with run_program("orderfleet", "up", cwd=tmp_path) as up:
        try:
            async with await _api(up) as http:
                assert (await http.get("/orders/kept")).json()["state"] == "fulfilled"
            pids = {one.pid for one in psutil.Process(up.child.pid).children(recursive=True)}
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
    said = "\n".join(demo.lines)
    assert status == 0, said
    assert left == ["nothing to stop"]
    assert re.search(r"All \d+ orders ended as expected", said)
    assert "captured" in said
    # Nothing that only a terminal understands.
    assert "\x1b" not in said
    assert "\r" not in said
