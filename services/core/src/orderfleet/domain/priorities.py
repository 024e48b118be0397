"""The order of work: Temporal's priority keys, the lowest number first (decision 27).

Temporal hands out the tasks that wait in a queue by their key, and tasks of one key by turns of the
fairness keys where the server has fairness on, else by age. An activity or child workflow that sets
a priority key keeps the fairness key of its workflow. Local activities have no task, so no key.
Servers before 1.31 ignore both by default.
"""

from typing import Final

from temporalio.common import Priority

# The customer has paid for what is shipped: each second that it waits is a refund more likely.
SHIPPING: Final = Priority(priority_key=1)
# The order's own write of its end: one statement, at most 3 s before its deadline.
END: Final = Priority(priority_key=1)
# Its order has waited longer than any order that is yet to be received.
CHARGE: Final = Priority(priority_key=2)
# No deadline: refund, recall, and the search for orders left behind.
UNDO: Final = Priority(priority_key=4)
RECONCILE: Final = Priority(priority_key=4)
# Days late already, or a person waits: behind everything, background orders included.
FORGET: Final = Priority(priority_key=5)

# An order's own tasks, and the changes that clients ask for. 3 is also the server's default, so
# orders that other Temporal clients start are equal to those of the API.
_ORDER: Final = 3
_BACKGROUND_ORDER: Final = 5


def of_order(tenant: str, *, background: bool) -> Priority:
    """Return the priority of an order's workflow; all that it starts is counted for the tenant.

    Args:
        tenant: the name of the API key, at most 64 bytes, which the server requires; it may be
            empty.
        background: the caller can wait for the order. Once it is charged, it is like any other.
    """
    key = _BACKGROUND_ORDER if background else _ORDER
    return Priority(priority_key=key, fairness_key=tenant or None)
