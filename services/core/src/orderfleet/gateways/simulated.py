"""The simulated payment gateway and carrier, with a ledger of their own and injected faults.

They behave like remote services: a call continues after its caller has given up, and its effect is
in the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from orderfleet.gateways.protocols import (
    Charge,
    ChargePage,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnknownError,
    ListedCharge,
    Shipment,
)
from orderfleet.store import simulated_ledger
from orderfleet.store.pool import Pool

T = TypeVar("T")


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """One fault to inject.

    `refuse`: a definite refusal. `fail_before`: an error without an effect. `hang_before`: the call
    hangs, then has its effect, late. `reply_lost`: the call has its effect, but the caller gets an
    error. `hang_after`: the call has its effect, then the answer hangs.
    """

    at: Literal["charge", "dispatch", "refund", "recall", "lookup"]
    """`lookup` is the carrier's look-up of a package."""
    kind: Literal["refuse", "fail_before", "hang_before", "reply_lost", "hang_after"]
    orders: str = "*"
    """Pattern of the order ids that have the fault."""
    times: Annotated[int, Meta(ge=0)] = 0
    """How many of the first calls for an order have the fault; 0 is all."""
    seconds: Annotated[float, Meta(ge=0, le=600)] = 300
    """How long a hang lasts."""


Faults = tuple[Fault, ...]


class _Remote:
    """Runs each call in a task of its own, with the configured fault."""

    def __init__(self, pool: Pool, faults: Faults) -> None:
        self._pool = pool
        self._faults = faults
        # Tasks whose callers gave up: asyncio keeps weak references only.
        self._running: set[asyncio.Task[object]] = set()

    async def call(self, operation: str, order_id: str, work: Callable[[], Awaitable[T]]) -> T:
        fault = await self._fault(operation, order_id)
        task = asyncio.create_task(self._perform(fault, work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def _perform(self, fault: Fault | None, work: Callable[[], Awaitable[T]]) -> T:
        if fault is None:
            return await work()
        match fault.kind:
            case "refuse":
                raise GatewayRefusedError("refused (injected)")
            case "fail_before":
                raise GatewayUnknownError("failed before (injected)")
            case "hang_before":
                await asyncio.sleep(fault.seconds)
                return await work()
            case "reply_lost":
                await work()
                raise GatewayUnknownError("reply lost (injected)")
            case "hang_after":
                result = await work()
                await asyncio.sleep(fault.seconds)
                return result

    async def _fault(self, operation: str, order_id: str) -> Fault | None:
        for fault in self._faults:
            if fault.at == operation and fnmatchcase(order_id, fault.orders):
                if not fault.times:
                    return fault
                if (
                    await simulated_ledger.count_call(self._pool, operation, order_id)
                    <= fault.times
                ):
                    return fault
        return None

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Retrieve the error, or asyncio logs that nobody did.
            task.exception()


class SimulatedPaymentGateway:
    """A `PaymentGateway` that captures into `gateway.charges`."""

    def __init__(self, pool: Pool, faults: Faults = ()) -> None:
        self._pool = pool
        self._remote = _Remote(pool, faults)

    async def charge(self, charge: Charge) -> bool:
        """Capture the amount, once per key; return whether the key had been captured before."""
        return await self._remote.call("charge", charge.order_id, lambda: self._charge(charge))

    async def _charge(self, charge: Charge) -> bool:
        status, repeated = await self._put(charge, ChargeStatus.CAPTURED)
        if status is not ChargeStatus.CAPTURED:
            raise GatewayRefusedError(f"the key is {status}")
        return repeated

    async def lookup(self, key: str) -> ChargeStatus:
        """Return the state of the key in the ledger."""
        return ChargeStatus(
            await simulated_ledger.charge_status(self._pool, key) or ChargeStatus.NONE
        )

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key unless the amount was captured."""
        status, _ = await self._put(charge, ChargeStatus.VOIDED)
        return status

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Refund what was captured."""

        async def work() -> ChargeStatus:
            status = await simulated_ledger.refund_charge(self._pool, charge.key)
            return ChargeStatus(status or ChargeStatus.NONE)

        return await self._remote.call("refund", charge.order_id, work)

    async def list_charges(self, since: datetime, after: str) -> ChargePage:
        """Return the ledger's charges since a time, by key."""
        rows = await simulated_ledger.list_charges(self._pool, since, after)
        full = len(rows) == simulated_ledger.CHARGES_PAGE
        charges = msgspec.convert(rows, list[ListedCharge])
        return ChargePage(charges, charges[-1].key if full else "")

    async def _put(self, charge: Charge, status: ChargeStatus) -> tuple[ChargeStatus, bool]:
        current, repeated = await simulated_ledger.put_charge(
            self._pool, charge.key, charge.order_id, charge.amount, charge.currency, status
        )
        return ChargeStatus(current), repeated


class SimulatedCarrier:
    """A `Carrier` that takes packages into `gateway.shipments`."""

    def __init__(self, pool: Pool, faults: Faults = ()) -> None:
        self._pool = pool
        self._remote = _Remote(pool, faults)

    async def dispatch(self, shipment: Shipment) -> str:
        """Take the package, once per key."""
        return await self._remote.call(
            "dispatch", shipment.order_id, lambda: self._dispatch(shipment)
        )

    async def _dispatch(self, shipment: Shipment) -> str:
        status = await self._put(shipment, "taken")
        if status != "taken":
            raise GatewayRefusedError(f"the key is {status}")
        return _tracking(shipment.key)

    async def lookup(self, key: str) -> str | None:
        """Return the tracking number if the package was taken and not recalled."""

        async def work() -> str | None:
            taken = await simulated_ledger.shipment_status(self._pool, key) == "taken"
            return _tracking(key) if taken else None

        return await self._remote.call("lookup", key.rpartition("/")[0], work)

    async def recall(self, shipment: Shipment) -> bool:
        """Call the package back, or close the key."""

        async def work() -> bool:
            await self._put(shipment, "voided")
            return await simulated_ledger.recall_shipment(self._pool, shipment.key) == "recalled"

        return await self._remote.call("recall", shipment.order_id, work)

    async def _put(self, shipment: Shipment, status: str) -> str:
        address = msgspec.to_builtins(shipment.address)
        return await simulated_ledger.put_shipment(
            self._pool, shipment.key, shipment.order_id, address, status
        )


def _tracking(key: str) -> str:
    return f"SIM-{key}"
