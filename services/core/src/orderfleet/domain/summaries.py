"""What Temporal's UI says of the workflows of an order, their activities and timers.

Counts, money, states and ids only: no address, no name, no free text. A replay does not compare
these texts, so any release may change them. The server takes 400 bytes of a summary, encrypted.
"""

from collections.abc import Mapping
from typing import Final

from orderfleet.domain import policies
from orderfleet.domain.contract import OrderInput, StepName, StepStatus
from orderfleet.domain.orders import Order, OrderState

FORGETS: Final = "forgets an order"


def order_summary(order: Order) -> str:
    """Return the summary of an order: `3 items, 41.20 USD`."""
    pieces = sum(item.quantity for item in order.items)
    return f"{pieces} {'item' if pieces == 1 else 'items'}, {money(order)}"


def order_details(order: OrderInput) -> str:
    """Return what stays true of an order, in Markdown."""
    return (
        f"- payment: `{order.payment_id}`\n"
        f"- time from start to end: {order.deadline_seconds:g} s\n"
        f"- review: up to {order.review_seconds:g} s"
    )


def money(order: Order) -> str:
    """Return the sum to charge: `41.20 USD`."""
    return f"{order.amount} {order.currency}"


def shipping_attempt(attempt: int) -> str:
    """Return the summary of a shipping attempt."""
    return f"shipping attempt {attempt} of {policies.SHIPPING_ATTEMPTS}"


def end_as(state: OrderState) -> str:
    """Return the summary of writing an end."""
    return f"end: {state}"


def undo_of(state: OrderState) -> str:
    """Return the summary of a refund."""
    return f"undoes an order that ended: {state}"


def next_attempt(step: str, attempt: int) -> str:
    """Return the summary of the pause before an attempt."""
    return f"pause before attempt {attempt} of {step}"


def current_details(
    state: OrderState, step: StepName, steps: Mapping[str, StepStatus], *, shipping_attempts: int
) -> str:
    """Return where an order stands, in Markdown.

    Args:
        state: of the order.
        step: under way.
        steps: the attempts of the steps until now; a name that is no step may be anybody's text.
        shipping_attempts: how many have begun.
    """
    attempts = ", ".join(
        f"{name} {steps[name].attempts}{_failures(steps[name])}"
        for name in StepName
        if name in steps
    )
    lines = [f"- state: **{state}**"]
    if not state.ended:
        lines.append(f"- step: {step}")
    if attempts:
        lines.append(f"- attempts: {attempts}")
    if shipping_attempts > 1:
        lines.append(f"- shipping attempts: {shipping_attempts}")
    return "\n".join(lines)


def _failures(status: StepStatus) -> str:
    return f" ({len(status.errors)} failed)" if status.errors else ""
