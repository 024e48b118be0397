"""The tutorial works as written: its gateway, its commands, their outcomes."""

import asyncio
import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from orderfleet.polling import retry
from orderfleet_cli.local import FleetOptions, Ports, run_fleet
from tests.e2e.support.orders import PATIENCE
from tests.e2e.support.programs import Output, run_program

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]

_TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _TUTORIAL.read_text(), re.DOTALL)


async def _orderfleet(command: str, url: str) -> Output:
    program, *arguments = shlex.split(command)
    async with run_program(program, *arguments, env={"ORDERFLEET_URL": url}) as ran:
        await ran.end()
        return ran


async def test_the_tutorial_from_the_first_order_to_the_own_gateway(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    (source,) = _blocks("python")
    (tmp_path / "gateway.py").write_text(source)
    port = unused_tcp_port_factory()
    gateway = ("python", str(tmp_path / "gateway.py"), str(port))
    options = FleetOptions(
        data=tmp_path / "fleet",
        ports=Ports.anywhere(),
        env={
            "ORDERFLEET_PAYMENT_GATEWAY_URL": f"http://127.0.0.1:{port}",
            # A busy machine takes longer to start a command than a reader's.
            "REVIEW_SECONDS": "5",
        },
    )
    async with run_fleet(options) as fleet:
        async with run_program(*gateway) as running:
            await _wait_until_listening(port)
            for block in _blocks("sh"):
                for command in re.split("\n| && ", block.replace(":9000", f":{port}").strip()):
                    ran = await _orderfleet(command, fleet.api_url)
                    assert ran.child.returncode == 0, (command, ran.lines)
            await running.until("charge tutorial-payment-3 24.50 USD -> captured")
        ran = await _orderfleet(
            "orderfleet start-workflow tutorial-4 tutorial-payment-4 --wait", fleet.api_url
        )
        assert ran.child.returncode == 1
        assert "failed" in "\n".join(ran.lines)
        async with run_program(*gateway) as running:
            await running.until("void tutorial-payment-4 1.00 USD -> voided", PATIENCE)
        async with httpx.AsyncClient(base_url=fleet.api_url) as http:
            cancelled = (await http.get("/orders/tutorial-2")).json()
    assert cancelled["state"] == "cancelled"


async def _wait_until_listening(port: int) -> None:
    connect = partial(asyncio.open_connection, "127.0.0.1", port)
    _, writer = await retry(connect, on=OSError, seconds=PATIENCE)
    writer.close()
