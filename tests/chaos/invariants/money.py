"""Money and packages: the gateways' ledgers are the judges, whatever Postgres says."""

from collections.abc import Iterator
from typing import Final

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.protocols import ChargeStatus
from tests.chaos.recording import Case

_MOVED: Final = frozenset({ChargeStatus.CAPTURED.value, ChargeStatus.REFUNDED.value})


def charged_at_most_once(case: Case) -> Iterator[str]:
    """Judge the payment gateway's ledger: one charge, of the order's payment id and amount."""
    charged = [charge for charge in case.charges if charge.status in _MOVED]
    if len(charged) > 1:
        yield f"charged {len(charged)} times: {', '.join(charge.key for charge in charged)}"
    for charge in charged:
        if case.row is None:
            yield f"charged by {charge.key} without a row"
        elif charge.key != case.row.payment_id:
            yield f"charged by the key {charge.key}, not by {case.row.payment_id}"
        elif (charge.amount, charge.currency) != (case.row.amount, case.row.currency):
            yield (
                f"charged {charge.amount} {charge.currency},"
                f" not {case.row.amount} {case.row.currency}"
            )
    if (count := case.types.count(EventType.CHARGED)) > 1:
        yield f"{count} events charged"


def refunded_unless_fulfilled(case: Case) -> Iterator[str]:
    """Judge where the money is at the end, in the ledger and in the order's payments."""
    ledger = {charge.key: charge.status for charge in case.charges}
    statuses = list(ledger.values())
    if case.state == OrderState.FULFILLED:
        if statuses != [ChargeStatus.CAPTURED]:
            yield f"fulfilled, and its charges are {statuses}"
    elif ChargeStatus.CAPTURED in statuses:
        yield f"{case.state or 'without a row'}, and its money is not back"
    rows = {payment.payment_id: payment.status for payment in case.payments}
    for key in sorted(ledger.keys() | rows.keys()):
        if ledger.get(key) != rows.get(key):
            yield f"payment {key} is {rows.get(key)} in Postgres, {ledger.get(key)} in the ledger"
    for status in (ChargeStatus.REFUNDED, ChargeStatus.VOIDED):
        if (status in statuses) != (status.value in case.types):
            has = "lacks" if status in statuses else "has"
            yield f"the ledger has {statuses}, and the log {has} {status}"


def shipped_if_fulfilled(case: Case) -> Iterator[str]:
    """Judge the carrier's ledger: one package to the order's address, or none."""
    taken = [shipment for shipment in case.shipments if shipment.status == "taken"]
    expected = 1 if case.state == OrderState.FULFILLED else 0
    refunded = any(charge.status == ChargeStatus.REFUNDED for charge in case.charges)
    if len(taken) != expected:
        money = ", refunded" if refunded else ""
        yield f"{case.state or 'without a row'}{money}, and the carrier has {len(taken)} packages"
    elif taken and refunded:
        yield "refunded and shipped"
    for shipment in taken:
        if case.row is not None and shipment.address != case.row.address:
            yield f"shipped to {shipment.address}, not to {case.row.address}"
