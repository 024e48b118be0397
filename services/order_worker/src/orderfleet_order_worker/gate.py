"""`orderfleet-order-gate`: makes this build of the order worker the current one, if it is good."""

import orderfleet_order_worker
from orderfleet.domain.contract import (
    FORGET_WORKFLOW,
    ORDER_WORKFLOW,
    RECONCILE_WORKFLOW,
    REFUND_WORKFLOW,
)
from orderfleet.runtime.gate import GatedWorker, run_gate
from orderfleet_order_worker.main import WORKFLOWS


def main() -> None:
    """Judge and promote the build, then exit."""
    run_gate(
        "orderfleet-order-gate",
        GatedWorker(
            orderfleet_order_worker,
            lambda settings: settings.order_task_queue,
            WORKFLOWS,
            judged=ORDER_WORKFLOW,
            upgrading=(REFUND_WORKFLOW, RECONCILE_WORKFLOW, FORGET_WORKFLOW, "SettleOrders"),
        ),
    )


if __name__ == "__main__":
    main()
