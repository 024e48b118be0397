"""Calls of a Temporal that is not there; errors that mean something else are not hidden."""

import asyncio
from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from orderfleet.temporal.client import connect
from orderfleet_api.backends import call_temporal
from orderfleet_api.settings import ApiSettings


async def _describe(port: int) -> Any:
    client = await connect(ApiSettings(temporal_address=f"127.0.0.1:{port}"), lazy=True)
    return await call_temporal(client.get_workflow_handle("o-1").describe(), timeout=10)


async def test_without_temporal_the_answer_is_503(unused_tcp_port: int) -> None:
    with pytest.raises(ProblemDetailsException) as raised:
        await _describe(unused_tcp_port)
    assert raised.value.status_code == 503
    assert raised.value.headers == {"Retry-After": "1"}


async def test_a_server_that_is_not_temporal_is_503() -> None:
    async def close(_reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        with pytest.raises(ProblemDetailsException) as raised:
            await _describe(server.sockets[0].getsockname()[1])
    assert raised.value.status_code == 503


async def test_any_other_runtime_error_is_a_bug() -> None:
    async def broken() -> None:
        raise RuntimeError("dictionary changed size during iteration")

    with pytest.raises(RuntimeError, match="changed size"):
        await call_temporal(broken(), timeout=10)


async def test_a_call_is_bounded() -> None:
    with pytest.raises(TimeoutError):
        await call_temporal(asyncio.sleep(60), timeout=0.01)
