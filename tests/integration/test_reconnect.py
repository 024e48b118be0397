"""Temporal is away for seconds: another worker polls when it is back, and what ran goes on."""

import asyncio
from functools import partial

import pytest
import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from orderfleet.domain.orders import OrderState
from orderfleet.environment import SettingsError
from orderfleet.runtime.process import Lifecycle
from orderfleet.runtime.reconnect import (
    Reconnection,
    keep_answering,
    reconnect_after_outage,
)
from orderfleet.temporal.client import connect
from orderfleet.temporal.namespace import require_namespace
from orderfleet_api import order_service
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id, run_order_worker
from tests.integration.support.proxy import wire_to

# Longer than the 2 s from which on a worker is replaced, with the 2 s between two checks.
_OUTAGE = 4.5
_MODULE = "orderfleet.runtime.reconnect"


async def test_after_an_outage_another_worker_polls(
    fleet: Fleet, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_MODULE}._SETTLING_SECONDS", ())
    workers: list[Worker] = []

    def make(client: Client) -> Worker:
        workers.append(fleet.order_worker(client=client))
        return workers[-1]

    async def replaced() -> bool:
        return len(workers) == 2

    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire, fleet.shipping_worker():
        settings = fleet.order_settings(
            temporal_address=f"127.0.0.1:{wire.port}", probe_port=unused_tcp_port
        )
        connected = partial(connect, settings)
        client = await connected()
        lifecycle = Lifecycle()
        running = asyncio.create_task(
            run_order_worker(make, client, settings, lifecycle, reconnect=connected)
        )
        before, after = new_id(), new_id()
        await order_service.accept(fleet.backends(), before, an_order(f"pay-{before}"))
        assert (await fleet.result(before)).state is OrderState.FULFILLED
        await wire.cut()
        await asyncio.sleep(_OUTAGE)
        # Accepted while no worker reaches Temporal.
        await order_service.accept(fleet.backends(), after, an_order(f"pay-{after}"))
        assert len(workers) == 1
        with structlog.testing.capture_logs() as logs:
            await wire.mend()
            assert (await fleet.result(after)).state is OrderState.FULFILLED
            # A poll of the first one may have come through before, and fulfilled it.
            await eventually(replaced)
        [back] = [line for line in logs if line["event"] == "Temporal is back"]
        assert back["away_seconds"] > 2
        first, second = workers

        async def stopped() -> bool:
            return not first.is_running

        await eventually(stopped)
        assert second.is_running
        lifecycle.request_shutdown()
        await running
        assert not second.is_running


async def test_a_server_gone_without_a_word_does_not_hold_a_worker(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_CHECK_SECONDS", "_OUTAGE_SECONDS"):
        monkeypatch.setattr(f"{_MODULE}.{name}", 0.1)
    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire:
        settings = fleet.order_settings(temporal_address=f"127.0.0.1:{wire.port}")
        connected = partial(connect, settings)
        client = await connected()
        wire.silence()
        async with asyncio.timeout(10):
            made = await reconnect_after_outage(client, settings.order_task_queue, connected)
        assert made is not client


async def test_in_the_seconds_after_an_outage_more_workers_follow(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polls may be lost on the way to what is gone, though Temporal answers."""
    for name in ("_CHECK_SECONDS", "_CHECK_AGAIN_SECONDS", "_OUTAGE_SECONDS"):
        monkeypatch.setattr(f"{_MODULE}.{name}", 0.05)
    monkeypatch.setattr(f"{_MODULE}._SETTLING_SECONDS", (0.1, 0.1))
    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire:
        settings = fleet.order_settings(temporal_address=f"127.0.0.1:{wire.port}")
        connected = partial(connect, settings)
        reconnection = Reconnection(settings.order_task_queue, connected)
        clients = [await connected()]
        wire.silence()
        async with asyncio.timeout(20):
            for _ in range(3):
                clients.append(await reconnection.next_client(clients[-1]))
        assert len({id(client) for client in clients}) == 4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await reconnection.next_client(clients[-1])


async def test_a_second_outage_in_the_seconds_after_the_first_one(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_CHECK_SECONDS", "_CHECK_AGAIN_SECONDS", "_OUTAGE_SECONDS"):
        monkeypatch.setattr(f"{_MODULE}.{name}", 0.05)
    monkeypatch.setattr(f"{_MODULE}._SETTLING_SECONDS", (0.1,))
    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire:
        settings = fleet.order_settings(temporal_address=f"127.0.0.1:{wire.port}")
        client = await connect(settings)
        failures: list[Exception] = []

        async def reconnect() -> Client:
            if failures:
                raise failures.pop()
            return await connect(settings)

        reconnection = Reconnection(settings.order_task_queue, reconnect)
        wire.silence()
        async with asyncio.timeout(20):
            client = await reconnection.next_client(client)
            failures = [TimeoutError(), SettingsError("Temporal refuses this client")]
            wire.silence()
            client = await reconnection.next_client(client)
        assert not failures
        await require_namespace(client)


async def test_a_server_gone_without_a_word_does_not_hold_a_client(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_MODULE}._LOOK_SECONDS", 0.1)
    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire:
        settings = fleet.order_settings(temporal_address=f"127.0.0.1:{wire.port}")
        client = await connect(settings, lazy=True)
        await require_namespace(client)
        keeping = asyncio.create_task(keep_answering(client))
        wire.silence()

        async def answers() -> bool:
            try:
                async with asyncio.timeout(0.5):
                    await require_namespace(client)
            except TimeoutError:
                return False
            return True

        await eventually(answers)
        keeping.cancel()


async def test_a_refusal_does_not_end_a_worker_that_runs(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_CHECK_SECONDS", "_CHECK_AGAIN_SECONDS", "_OUTAGE_SECONDS"):
        monkeypatch.setattr(f"{_MODULE}.{name}", 0.05)
    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire:
        settings = fleet.order_settings(temporal_address=f"127.0.0.1:{wire.port}")
        client = await connect(settings)
        # As while an API key rotates.
        failures = [TimeoutError(), SettingsError("Temporal refuses this client")]

        async def reconnect() -> Client:
            if failures:
                raise failures.pop()
            return client

        with structlog.testing.capture_logs() as logs:
            waiting = asyncio.create_task(
                reconnect_after_outage(client, settings.order_task_queue, reconnect)
            )
            await wire.cut()
            # Longer than one look at Temporal.
            await asyncio.sleep(1.3)
            await wire.mend()
            assert await waiting is client
    assert [line["event"] for line in logs] == ["cannot reconnect to Temporal", "Temporal is back"]
