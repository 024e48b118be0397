"""What the sandbox imports anew for each workflow: an order pays for every such module of ours."""

import sys

import pytest
from temporalio.worker.workflow_sandbox import SandboxRestrictions, _runner
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext

from tests.replay.test_replay import STORED, replay

# The module with the workflow class, and its package. All else is passed through, each by its name.
IMPORTED_ANEW = {
    "orderfleet_order_worker.workflow": {
        "orderfleet_order_worker",
        "orderfleet_order_worker.workflow",
    },
    "orderfleet_order_worker.refund_workflow": {
        "orderfleet_order_worker",
        "orderfleet_order_worker.refund_workflow",
    },
    "orderfleet_order_worker.reconciliation.workflow": {
        "orderfleet_order_worker",
        "orderfleet_order_worker.reconciliation",
        "orderfleet_order_worker.reconciliation.workflow",
    },
    "orderfleet_order_worker.forgetting.workflow": {
        "orderfleet_order_worker",
        "orderfleet_order_worker.forgetting",
        "orderfleet_order_worker.forgetting.workflow",
    },
    "orderfleet_shipping_worker.workflow": {
        "orderfleet_shipping_worker",
        "orderfleet_shipping_worker.workflow",
    },
}


def _imported_anew(importer: Importer) -> set[str]:
    """Return our modules that a sandbox has a copy of, instead of the worker's own."""
    return {
        name
        for name, module in importer.new_modules.items()
        if name.startswith("orderfleet") and module is not sys.modules.get(name)
    }


async def test_only_the_module_with_the_workflow_is_imported_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    importers: list[tuple[str, Importer]] = []

    class Recorded(Importer):
        def __init__(
            self,
            restrictions: SandboxRestrictions,
            context: RestrictionContext,
            workflow_module_name: str,
        ) -> None:
            super().__init__(restrictions, context, workflow_module_name)
            importers.append((workflow_module_name, self))

    monkeypatch.setattr(_runner, "Importer", Recorded)
    for path in STORED:
        await replay(path)
    assert {module for module, _ in importers} == set(IMPORTED_ANEW)
    for module, importer in importers:
        assert _imported_anew(importer) == IMPORTED_ANEW[module]
        assert not importer.restrictions.passthrough_all_modules
        assert not {
            name for name in importer.restrictions.passthrough_modules if "orderfleet" in name
        }
