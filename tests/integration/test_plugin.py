"""The worker of docs/plugin.md, as the page has it, beside a fleet."""

import asyncio
import re
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from orderfleet.temporal.encryption import ENCODING
from orderfleet.temporal.payload_keys import make_key
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet_api.app import create_app
from tests.integration.support.fleet import Fleet, eventually, new_id

_PAGE = Path(__file__).parents[2] / "docs" / "plugin.md"
_HOME = {"street": "1 Home Street", "city": "Hometown"}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the page's program, beside its workflow, where the sandbox finds that."""
    _, receipts, main, _ = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    (tmp_path / "receipts.py").write_text(receipts)
    (tmp_path / "receipts_main.py").write_text(main)
    monkeypatch.syspath_prepend(tmp_path)
    # Registered first, so that the end of the test removes them.
    for name in ("receipts", "receipts_main"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        del sys.modules[name]
    return import_module("receipts_main")


async def test_the_page_s_worker_writes_one_receipt_for_a_fulfilled_order(
    fleet: Fleet, program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{make_key()}\n")
    monkeypatch.setenv("ORDERFLEET_PAYLOAD_KEYS_FILE", str(keys))
    monkeypatch.setenv("TEMPORAL_ADDRESS", fleet.address)
    # The API is served in this process.
    app = cast("Any", create_app(fleet.backends()))
    here = partial(httpx.AsyncClient, transport=httpx.ASGITransport(app))
    monkeypatch.setattr(program, "httpx", SimpleNamespace(AsyncClient=here))
    monkeypatch.setenv("ORDERFLEET_URL", "http://localhost")
    client = await Client.connect(fleet.address, plugins=[OrderfleetPlugin.from_env()])
    order_id = new_id()
    receipt = client.get_workflow_handle(f"receipt-{order_id}", result_type=str)

    async def written() -> bool:
        try:
            return (await receipt.describe()).status is WorkflowExecutionStatus.COMPLETED
        except RPCError:
            return False

    async with fleet.working(), here(base_url="http://localhost") as api:
        body = {"payment_id": f"pay-{order_id}", "address": _HOME}
        (await api.post(f"/orders/{order_id}/start", json=body)).raise_for_status()
        # Both read the same events, from the first on.
        running = [asyncio.create_task(program.main()) for _ in range(2)]
        try:
            await eventually(written)
        finally:
            for task in running:
                task.cancel()
            ends = await asyncio.gather(*running, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    assert (await receipt.result()).startswith(f"{order_id} was fulfilled at 20")
    runs = [run async for run in client.list_workflows(f"WorkflowId = '{receipt.id}'")]
    assert len(runs) == 1
    # Temporal has it as the fleet's own payloads: encrypted.
    history = await receipt.fetch_history()
    [stored] = history.events[0].workflow_execution_started_event_attributes.input.payloads
    assert stored.metadata["encoding"] == ENCODING
