"""Odd requests, made from the API's own OpenAPI document, the steps of an order included."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import Orders
from tests.e2e.support.programs import run_program

pytestmark = pytest.mark.asyncio(loop_scope="session")

_EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "8")


@pytest.mark.timeout(600)
async def test_nothing_odd_is_found(
    orders: Orders, unused_tcp_port_factory: Callable[[], int], tmp_path: Path
) -> None:
    # Orders end while the fuzzer is at them: every state is met.
    quick = {"REVIEW_SECONDS": "0", "ORDER_DEADLINE_SECONDS": "3"}
    async with run_api(orders, unused_tcp_port_factory, quick) as (api, http):
        # Read while it runs: a full pipe would stop it.
        ended = asyncio.create_task(api.end(seconds=3600))
        async with run_program(
            "schemathesis",
            "run",
            f"{http.base_url}/docs/openapi.json",
            # Its stream ends after minutes.
            *("--exclude-path", "/events"),
            *("--checks", "all", "--max-examples", _EXAMPLES, "--no-color"),
            *("--phases", "examples,coverage,fuzzing,stateful"),
            # How fast it generates texts depends on the machine.
            *("--suppress-health-check", "too_slow,filter_too_much"),
            cwd=tmp_path,
        ) as fuzzer:
            status = await fuzzer.end(seconds=3600)
        report = "\n".join(fuzzer.lines)
        assert status == 0, report
        assert "Tested: 13" in report, report
        api.signal(signal.SIGTERM)
        assert await ended == 0
    assert not [line for line in api.lines if '"level": "error"' in line]
