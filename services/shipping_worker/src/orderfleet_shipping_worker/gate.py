"""`orderfleet-shipping-gate`: makes this build of the shipping worker current, if it is good."""

import orderfleet_shipping_worker
from orderfleet.domain.contract import SHIPPING_WORKFLOW
from orderfleet.runtime.gate import GatedWorker, run_gate
from orderfleet_shipping_worker.main import WORKFLOWS


def main() -> None:
    """Judge and promote the build, then exit."""
    run_gate(
        "orderfleet-shipping-gate",
        GatedWorker(
            orderfleet_shipping_worker,
            lambda settings: settings.shipping_task_queue,
            WORKFLOWS,
            judged=SHIPPING_WORKFLOW,
        ),
    )


if __name__ == "__main__":
    main()
