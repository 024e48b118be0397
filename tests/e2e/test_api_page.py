"""The commands of docs/api.md do what they are there for."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from orderfleet_cli.local.processes import executable
from tests.e2e.support.orders import Orders, new_id

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PAGE = Path(__file__).parents[2] / "docs" / "api.md"


async def _run(script: str, orders: Orders) -> str:
    shell = await asyncio.create_subprocess_exec(
        "bash",
        *(
            "-euo",
            "pipefail",
            "-c",
            script.replace("localhost:8000", orders.http.base_url.netloc.decode()),
        ),
        env={
            **os.environ,
            "PATH": f"{Path(executable('orderfleet')).parent}:{os.environ['PATH']}",
            "ORDERFLEET_URL": orders.fleet.api_url,
            "TEMPORAL_ADDRESS": orders.fleet.temporal_address,
            "DATABASE_URL": orders.fleet.database_url,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await shell.communicate()
    assert shell.returncode == 0, said.decode()
    return said.decode()


async def test_every_command_works(orders: Orders) -> None:
    # The fuzzer has taken the plain names: they are the examples of the API's own document.
    own = new_id("page")
    page = re.sub(r"\b(order|payment)-(\d)", rf"{own}-\1-\2", _PAGE.read_text())
    by_hand, by_command, by_temporal = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert '"state":"received"' in await _run(by_hand, orders)
    said = await _run(by_command, orders)
    assert "fulfilled" in said
    assert f"{own}-order-1" in said
    await _run(by_temporal, orders)
    assert (await orders.ended(f"{own}-order-3"))["state"] == "cancelled"
