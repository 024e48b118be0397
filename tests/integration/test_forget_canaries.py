"""Two hundred canaries in every free text of an order; of forgotten orders, none is found."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import structlog

from orderfleet.domain import contract
from orderfleet.domain.contract import AddressChange, Cancel, OrderInput, Review
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.protocols import Charge, GatewayRefusedError, Shipment
from orderfleet.gateways.simulated import Faults, SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.observability.logging import configure_logs
from orderfleet.observability.otel import provider
from orderfleet.settings import CommonSettings
from orderfleet.store import change_requests
from orderfleet.store.pool import Pool
from orderfleet.store.simulated_ledger import balance
from orderfleet.temporal.client import connect
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from orderfleet_cli.local import Temporal, run_temporal
from orderfleet_cli.local.ports import PortFinder
from tests.integration.support.canaries import Canaries, executions, rows, sqlite_values
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.forgetting import forget
from tests.integration.support.servers import DELETES_SOON, Database
from tests.support.spans import exported

_CANARIES: Final = 200
_SAID: Final[dict[str, str]] = {}
"""What a gateway says when it refuses an order."""


class TalkingGateway(SimulatedPaymentGateway):
    """Refuses with a text of its own."""

    async def charge(self, charge: Charge) -> bool:
        if said := _SAID.get(charge.key):
            raise GatewayRefusedError(said)
        return await super().charge(charge)


class TalkingCarrier(SimulatedCarrier):
    """Refuses with a text of its own."""

    async def dispatch(self, shipment: Shipment) -> str:
        if said := _SAID.get(shipment.key):
            raise GatewayRefusedError(said)
        return await super().dispatch(shipment)


@pytest.fixture(autouse=True)
def talking(monkeypatch: pytest.MonkeyPatch) -> None:
    def gateway(pool: Pool, faults: Faults) -> TalkingGateway:
        return TalkingGateway(pool, faults)

    def carrier(pool: Pool, faults: Faults) -> TalkingCarrier:
        return TalkingCarrier(pool, faults)

    monkeypatch.setattr("tests.integration.support.fleet.SimulatedPaymentGateway", gateway)
    monkeypatch.setattr("tests.integration.support.fleet.SimulatedCarrier", carrier)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """What the services would log, in their own format."""
    root, written = logging.getLogger(), StringIO()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", written)
    configure_logs("info", "json", service="all")
    # Else loggers keep this configuration after the test.
    structlog.configure(cache_logger_on_first_use=False)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
async def temporal(tmp_path: Path) -> AsyncIterator[Temporal]:
    """Temporal with a database to look into."""
    find = PortFinder(print)
    ports = [find.take(purpose, 0) for purpose in ("Temporal", "Temporal's UI")]
    async with run_temporal(tmp_path, *ports, durable=True, config=DELETES_SOON) as running:
        yield running


@pytest.fixture
async def fleet(temporal: Temporal, database: Database, pool: Pool) -> Fleet:
    settings = CommonSettings(temporal_address=temporal.address)
    client = await connect(settings, telemetry=provider.plugins())
    return Fleet(database, pool, pool, client, temporal.address, uuid4().hex[:8])


Journey = Callable[[Fleet, Canaries, str], Coroutine[Any, Any, OrderState]]


def _backends(fleet: Fleet, **more: Any) -> Backends:
    # So many orders at once are slow.
    return fleet.backends(change_wait_seconds=30.0, **more)


async def _place(fleet: Fleet, canaries: Canaries, order_id: str, review: float = 0) -> None:
    order = an_order(f"pay-{order_id}", canaries.address())
    backends = _backends(fleet, review_seconds=review)
    await order_service.accept(backends, order_id, order, actor="shop")


async def _moved_and_approved(fleet: Fleet, canaries: Canaries, order_id: str) -> OrderState:
    await _place(fleet, canaries, order_id, review=20)
    moved = await order_service.update_address(
        _backends(fleet), order_id, "a", canaries.address(), actor="shop"
    )
    assert moved.outcome == "applied"
    decision = Review(approved=True, reviewer=canaries.text(), reason=canaries.text())
    await order_service.review(_backends(fleet), order_id, "r", decision, actor="shop")
    return OrderState.FULFILLED


async def _rejected(fleet: Fleet, canaries: Canaries, order_id: str) -> OrderState:
    await _place(fleet, canaries, order_id, review=20)
    decision = Review(approved=False, reviewer=canaries.text(), reason=canaries.text())
    await order_service.review(_backends(fleet), order_id, "r", decision)
    return OrderState.REJECTED


async def _cancelled(fleet: Fleet, canaries: Canaries, order_id: str) -> OrderState:
    await _place(fleet, canaries, order_id, review=20)
    await order_service.cancel(_backends(fleet), order_id, "c", canaries.text(), actor="shop")
    return OrderState.CANCELLED


async def _declined(fleet: Fleet, canaries: Canaries, order_id: str) -> OrderState:
    _SAID[f"pay-{order_id}"] = canaries.text()
    await _place(fleet, canaries, order_id)
    return OrderState.FAILED


async def _refused_by_the_carrier(fleet: Fleet, canaries: Canaries, order_id: str) -> OrderState:
    for attempt in (1, 2, 3):
        _SAID[contract.carrier_key(order_id, attempt)] = canaries.text()
    await _place(fleet, canaries, order_id)
    return OrderState.FAILED


async def _by_another_client(fleet: Fleet, canaries: Canaries, order_id: str) -> OrderState:
    """Temporal's own clients may say who they are, and send signals."""
    order = an_order(f"pay-{order_id}", canaries.address())
    handle = await fleet.temporal.start_workflow(
        contract.ORDER_WORKFLOW,
        OrderInput(**order.contents, review_seconds=20, actor=canaries.text()),
        id=order_id,
        task_queue=fleet.common()["order_task_queue"],
        memo={"note": canaries.text()},
        static_summary=canaries.text(),
    )
    await fleet.reached(order_id, OrderState.IN_REVIEW)
    move = AddressChange(canaries.address(), change_id="a", actor=canaries.text())
    await handle.signal(contract.ADDRESS_SIGNAL, move)
    await handle.signal(contract.CANCEL_SIGNAL, {"odd": canaries.text()})
    cancel = Cancel(change_id="c", reason=canaries.text(), actor=canaries.text())
    await handle.signal(contract.CANCEL_SIGNAL, cancel)
    return OrderState.CANCELLED


_JOURNEYS: Final[tuple[Journey, ...]] = (
    _moved_and_approved,
    _rejected,
    _cancelled,
    _declined,
    _refused_by_the_carrier,
    _by_another_client,
)


async def _play(fleet: Fleet, canaries: Canaries) -> list[str]:
    """Play all journeys until there are enough canaries; return the orders."""
    played: dict[str, asyncio.Task[OrderState]] = {}
    while len(canaries.names) < _CANARIES:
        # One of each at once: all at once would be slower than a change waits on a busy machine.
        async with asyncio.TaskGroup() as group:
            for journey in _JOURNEYS:
                order_id = new_id(journey.__name__.strip("_").replace("_", "-"))
                played[order_id] = group.create_task(journey(fleet, canaries, order_id))
    for order_id, state in played.items():
        assert (await fleet.result(order_id)).state is state.result(), order_id
    return list(played)


async def test_of_forgotten_orders_no_canary_is_left(
    fleet: Fleet,
    owner: Pool,
    temporal: Temporal,
    tmp_path: Path,
    logs: StringIO,
) -> None:
    exporter, canaries = exported(), Canaries()
    exporter.clear()
    store = tmp_path / "temporal.db"
    async with fleet.working():
        orders = await _play(fleet, canaries)
        queued = AddressChange(canaries.address(), change_id="queued")
        await change_requests.ask(fleet.pool, orders[0], queued)
        assert len(canaries.names) >= _CANARIES
        # The search finds them where they are: each is in Temporal, and most in Postgres, too.
        assert len(canaries.within(await rows(owner))) > 0.7 * len(canaries.names)
        kept = canaries.within(await executions(fleet.temporal))
        assert kept | canaries.within(sqlite_values(store)) >= set(canaries.names[:-6])

        results = await asyncio.gather(*(forget(fleet, order_id) for order_id in orders))
        assert all(result.first for result in results)

        async def gone() -> bool:
            return not canaries.within(sqlite_values(store))

        # What only Temporal's visibility and its tree of histories have goes a moment later.
        await eventually(gone)
        assert canaries.within(await rows(owner)) == set()
        assert canaries.within(await executions(fleet.temporal)) == set()
    assert (await balance(fleet.pool)).balanced
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert len(spans) > 10 * len(orders)
    assert canaries.within(spans) == set()
    assert logs.getvalue().count("order forgotten") == len(orders)
    assert canaries.within([logs.getvalue(), temporal.process.log.read_text()]) == set()
    for order_id in orders:
        numbers = [event.number for event in await fleet.events(order_id)]
        assert numbers == list(range(1, len(numbers) + 1))
