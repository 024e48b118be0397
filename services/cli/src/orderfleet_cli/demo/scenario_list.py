"""The demo's orders."""

from typing import Final

from orderfleet.gateways.simulated import Fault
from orderfleet_cli.demo.actions import (
    ENDS,
    NEW_ADDRESS,
    approve,
    cancel_in_review,
    cancel_paid,
    move_in_review,
    move_in_shipping,
    reject,
)
from orderfleet_cli.demo.scenario import Scenario

FLAKY: Final = "demo-flaky-*"
SHOWN: Final = "demo-cancelled-paid"
_CONFLICT: Final = 409
# After the third attempt at 9.5 s of an order, and soon after the forward work ends at 12 s.
_TOO_LATE_SECONDS: Final = 11.0


def _refused(order_id: str, times: int) -> tuple[Fault, ...]:
    return (Fault(at="dispatch", kind="refuse", orders=order_id, times=times),)


SCENARIOS: Final = (
    Scenario(
        order_id="demo-fulfilled",
        title="nothing happens to it",
        ends=("fulfilled",),
        events={"reviewed": 1, "charged": 1, "dispatching": 1, "fulfilled": 1},
    ),
    Scenario(
        order_id="demo-approved",
        title="approved by a person before the timer",
        ends=("fulfilled",),
        act=approve,
    ),
    Scenario(
        order_id="demo-refused",
        title="rejected by a person",
        ends=("rejected",),
        act=reject,
        events={"charging": 0},
    ),
    Scenario(
        order_id="demo-moved-review",
        title="address changed during review",
        ends=("fulfilled",),
        act=move_in_review,
        events={"address_updated": 1},
        address=NEW_ADDRESS,
    ),
    Scenario(
        order_id="demo-moved-shipping",
        title="address changed during shipping",
        ends=("fulfilled",),
        act=move_in_shipping,
        events={"address_updated": 1, "dispatch_failed": 1},
        faults=_refused("demo-moved-shipping", 1),
        address=NEW_ADDRESS,
    ),
    Scenario(
        order_id="demo-cancelled-review",
        title="cancelled during review",
        ends=("cancelled",),
        act=cancel_in_review,
        events={"charging": 0},
    ),
    Scenario(
        order_id=SHOWN,
        title="cancelled after the charge",
        ends=("cancelled",),
        act=cancel_paid,
        events={"charged": 1, "refunded": 1},
        faults=_refused(SHOWN, 1),
    ),
    Scenario(
        order_id="demo-invalid",
        title="nothing ordered",
        ends=("rejected",),
        items=(),
        events={"charging": 0},
    ),
    Scenario(
        order_id="demo-payment-reused",
        title="payment id of another order",
        ends=(str(_CONFLICT),),
        pays_for="demo-fulfilled",
    ),
    Scenario(
        order_id="demo-reply-lost",
        title="charged, but the reply is lost",
        ends=("fulfilled",),
        events={"charged": 1},
        faults=(Fault(at="charge", kind="reply_lost", orders="demo-reply-lost", times=1),),
    ),
    Scenario(
        order_id="demo-charge-late",
        title="charge hangs, goes through late",
        ends=("failed", "timed_out"),
        events={"refunded": 1},
        faults=(Fault(at="charge", kind="hang_before", orders="demo-charge-late", seconds=4),),
    ),
    Scenario(
        order_id="demo-charge-too-late",
        title="charge hangs beyond the end",
        ends=("failed", "timed_out"),
        events={"voided": 1},
        faults=(
            Fault(
                at="charge",
                kind="hang_before",
                orders="demo-charge-too-late",
                seconds=_TOO_LATE_SECONDS,
            ),
        ),
    ),
    Scenario(
        order_id="demo-shipping-twice",
        title="shipping fails twice, then works",
        ends=("fulfilled",),
        events={"dispatch_failed": 2},
        faults=_refused("demo-shipping-twice", 2),
    ),
    Scenario(
        order_id="demo-shipping-fails",
        title="shipping fails three times",
        ends=("failed",),
        events={"dispatch_failed": 3, "refunded": 1},
        faults=_refused("demo-shipping-fails", 0),
    ),
    Scenario(
        order_id="demo-carrier-hangs",
        title="carrier hangs beyond the deadline",
        ends=("timed_out",),
        events={"recalled": 1, "refunded": 1},
        faults=(
            Fault(
                at="dispatch",
                kind="hang_before",
                orders="demo-carrier-hangs",
                seconds=_TOO_LATE_SECONDS,
            ),
        ),
    ),
    *(
        Scenario(
            order_id=FLAKY.replace("*", f"{number:02}"),
            title="every activity may raise or hang",
            ends=ENDS,
        )
        for number in range(1, 11)
    ),
)
