"""Faults by the kind of an order, which is the first part of its id."""

from typing import Final

import msgspec

from orderfleet.gateways.simulated import Fault

FLAKY: Final = "flaky-*"

_FAULTS: Final = (
    Fault(at="charge", kind="reply_lost", orders="reply-lost-*", times=1),
    Fault(at="charge", kind="refuse", orders="declined-*"),
    # Longer than the 2.5 s of a call; the charge lands before the order gives up.
    Fault(at="charge", kind="hang_before", orders="charge-late-*", seconds=4),
    # The charge lands after the order's 15 s: the first call begins at 2 s.
    Fault(at="charge", kind="hang_before", orders="charge-too-late-*", seconds=13.5),
    Fault(at="dispatch", kind="refuse", orders="carrier-refuses-*"),
    # The order is `shipping` during the back-off of 1 s.
    Fault(at="dispatch", kind="refuse", orders="refused-once-*", times=1),
    Fault(at="dispatch", kind="hang_before", orders="carrier-hangs-*", seconds=11),
    # The carrier takes the package long before the order's end; no look-up finds it.
    Fault(at="dispatch", kind="hang_before", orders="taken-unseen-*", seconds=4),
    Fault(at="lookup", kind="hang_before", orders="taken-unseen-*"),
    Fault(at="dispatch", kind="hang_after", orders="carrier-silent-*", times=1),
    # Slow, but within the 2.5 s of a call: time to kill the process that waits.
    Fault(at="charge", kind="hang_before", orders="slow-charge-*", seconds=1.5),
    Fault(at="dispatch", kind="hang_before", orders="slow-carrier-*", seconds=1.5),
)

ENV: Final = {
    "ORDERFLEET_FLAKY": FLAKY,
    "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode(_FAULTS).decode(),
}
