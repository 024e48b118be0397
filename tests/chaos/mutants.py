"""Bugs that chaos has to find: today's source with an edit, and the invariants that find it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.builds import CORE, ORDER_WORKER, SHIPPING_WORKER

API: Final = "api"
SOURCES: Final = (CORE, API, ORDER_WORKER, SHIPPING_WORKER)
_PACKAGES: Final = {
    CORE: "orderfleet",
    API: "orderfleet_api",
    ORDER_WORKER: "orderfleet_order_worker",
    SHIPPING_WORKER: "orderfleet_shipping_worker",
}
SERVICES: Final = Path(__file__).parents[2] / "services"


@dataclass(frozen=True)
class Mutant:
    """One bug: a text of a file that stands there once, and what replaces it."""

    name: str
    bug: str
    service: str
    file: str
    old: str
    new: str
    found_by: frozenset[int]
    """The numbers of the invariants, any of which may find it first."""

    def path(self, services: Path = SERVICES) -> Path:
        """Return the file in a tree of sources."""
        return services / self.service / "src" / _PACKAGES[self.service] / self.file

    def mutated(self) -> str:
        """Return the file's text with the bug.

        Raises:
            ValueError: the text to replace does not stand there once.
        """
        text = self.path().read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {text.count(self.old)} places in {self.file}")
        return text.replace(self.old, self.new)


def make_tree(mutant: Mutant, folder: Path) -> str:
    """Copy the sources, put the bug in, and return the PYTHONPATH of the copy."""
    for service in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        # The API's page lies beside its source.
        shutil.copytree(SERVICES / service, folder / service, ignore=ignored)
    mutant.path(folder).write_text(mutant.mutated())
    return ":".join(str(folder / service / "src") for service in SOURCES)


def _mutant(
    name: str, bug: str, service: str, file: str, old: str, new: str, *found_by: int
) -> Mutant:
    return Mutant(name, bug, service, file, old, new, frozenset(found_by))


MUTANTS: Final = (
    _mutant(
        "another-key",
        "a repeated charge has a key of its own",
        ORDER_WORKER,
        "activities.py",
        "charge = Charge(step.payment_id, step.order_id, amount, currency)\n"
        "                await self._capture(charge)",
        "again = attempt_of(activity.info()) > 1\n"
        "                key = f\"{step.payment_id}{'-again' if again else ''}\"\n"
        "                charge = Charge(key, step.order_id, amount, currency)\n"
        "                await self._capture(charge)",
        2,
        3,
    ),
    _mutant(
        "wrong-sum",
        "the fifth piece of an item is not charged",
        CORE,
        "domain/orders.py",
        "Decimal(item.price) * item.quantity for",
        "Decimal(item.price) * min(item.quantity, 4) for",
        5,
    ),
    _mutant(
        "unknown-is-charged",
        "a charge whose outcome is unknown counts as a success",
        ORDER_WORKER,
        "activities.py",
        "        except TimeoutError:\n"
        '            raise TimeoutError("the payment gateway gave no answer") from None',
        "        except Exception:\n            pass",
        3,
    ),
    _mutant(
        "refund-in-words",
        "a refund is recorded and not made",
        ORDER_WORKER,
        "activities.py",
        "status = await self._gateway.refund(charge)",
        "status = ChargeStatus.REFUNDED",
        3,
    ),
    _mutant(
        "void-in-words",
        "the key of a payment that is not captured is not closed",
        ORDER_WORKER,
        "activities.py",
        "status = await self._gateway.void(charge)",
        "status = ChargeStatus.VOIDED",
        3,
    ),
    _mutant(
        "no-recall",
        "the package of an order that ends is not called back",
        ORDER_WORKER,
        "refund_workflow.py",
        "if ended.recall or traces.keys:",
        "if ended.recall and not traces.keys:",
        4,
    ),
    _mutant(
        "another-package",
        "a repeated dispatch has a carrier's key of its own",
        CORE,
        "store/dispatch.py",
        "ELSE before.dispatch_key END",
        "ELSE before.dispatch_key || '-again' END",
        4,
    ),
    _mutant(
        "silence-is-delivery",
        "a carrier that gives no answer has taken the package",
        SHIPPING_WORKER,
        "activities.py",
        '                raise TimeoutError("the carrier gave no answer") from None',
        '                tracking = "unknown"',
        4,
    ),
    _mutant(
        "moved-too-late",
        "an address is changed while the package is dispatched",
        CORE,
        "domain/orders.py",
        "ADDRESS_OPEN_STATES: Final = OPEN_STATES - {OrderState.DISPATCHING}",
        "ADDRESS_OPEN_STATES: Final = OPEN_STATES",
        4,
    ),
    _mutant(
        "move-in-words",
        "a change of address is logged and not made",
        CORE,
        "store/transitions.py",
        "before=ADDRESS_OPEN_STATES, address=address)",
        "before=ADDRESS_OPEN_STATES)",
        4,
        8,
    ),
    _mutant(
        "always-cancelled",
        "a cancel that comes too late is answered as applied",
        CORE,
        "store/changes.py",
        "return await _outcome(pool, order_id, change, transition)\n\n\nasync def update_address",
        "return transition and ChangeOutcome(applied=True, state=transition.state)\n\n\n"
        "async def update_address",
        5,
    ),
    _mutant(
        "review-of-the-timer",
        "a person's rejection is answered and does not count",
        ORDER_WORKER,
        "change_handling.py",
        "self.decision = step.change",
        "self.decision = msgspec.structs.replace(step.change, approved=True)",
        5,
    ),
    _mutant(
        "any-key",
        "the Idempotency-Key of a change of address is ignored",
        API,
        "routes.py",
        "    key = idempotency_key or str(uuid4())\n    view = await order_service.update_address",
        "    key = str(uuid4())\n    view = await order_service.update_address",
        5,
        6,
    ),
    _mutant(
        "any-contents",
        "another order with a known id is accepted",
        API,
        "order_service/acceptance.py",
        "if fingerprint != order.fingerprint:",
        "if fingerprint is None:",
        5,
    ),
    _mutant(
        "applied-is-refused",
        "a change that a repeat finds applied is refused",
        CORE,
        "store/changes.py",
        "        return ChangeOutcome(applied=True, state=transition.state)\n    reason =",
        "        return ChangeOutcome(\n"
        "            applied=not isinstance(change, AddressChange),\n"
        "            state=transition.state,\n"
        '            reason="already dispatched",\n'
        "        )\n    reason =",
        6,
    ),
    _mutant(
        "queued-in-words",
        "a change that no worker takes is answered 202 and not kept",
        API,
        "order_service/change_delivery.py",
        "        await backends.call_temporal(handle.signal(signal, change))\n",
        '        await backends.pool.execute("DELETE FROM change_requests")\n',
        7,
    ),
    _mutant(
        "uncounted",
        "an event of a released dispatch is not counted",
        CORE,
        "store/dispatch.py",
        "event_count = event_count + (SELECT count(*) FROM event), updated_at",
        "event_count = event_count + 2 * (SELECT count(*) FROM event), updated_at",
        8,
    ),
    _mutant(
        "left-behind",
        "orders whose workflow is gone stay open",
        ORDER_WORKER,
        "reconciliation/activities.py",
        "idle = [order for order in open_ if order.order_id not in running]",
        "idle = [order for order in open_ if order.order_id in running]",
        1,
    ),
    _mutant(
        "no-margin",
        "forward work may take all of the 15 s, and more",
        CORE,
        "domain/policies.py",
        "FORWARD_SHARE: Final = 0.8",
        "FORWARD_SHARE: Final = 2.0",
        9,
    ),
    _mutant(
        "server-default",
        "a workflow task that a dead worker holds is missed after 15 s",
        CORE,
        "domain/policies.py",
        "TASK_TIMEOUT: Final = timedelta(seconds=2)",
        "TASK_TIMEOUT: Final = timedelta(seconds=15)",
        9,
        10,
    ),
    _mutant(
        "wall-clock",
        "the workflow decides by the wall clock",
        ORDER_WORKER,
        "workflow.py",
        "        await self._charge()\n",
        "        with workflow.unsafe.sandbox_unrestricted():\n"
        '            odd = __import__("time").time_ns() // 1000 % 2\n'
        "        if odd:\n"
        "            await workflow.sleep(timedelta(milliseconds=10))\n"
        "        await self._charge()\n",
        9,
        11,
    ),
    _mutant(
        "recorded-elsewhere",
        "the workflow returns the end that it wanted, not the one that stands",
        ORDER_WORKER,
        "workflow.py",
        "return await self._complete(ended.state, reason, recorded=ended.recorded)",
        "return await self._complete(OrderState.FAILED, reason, recorded=ended.recorded)",
        5,
        10,
    ),
    _mutant(
        "page-skips",
        "a page of the feed begins one event too late",
        API,
        "feed/routes.py",
        "page = await feed.page(int(after or 0), limit or _PAGE, wanted)",
        "page = await feed.page(int(after or 0) + (limit == 100), limit or _PAGE, wanted)",
        12,
    ),
    _mutant(
        "bare-error",
        "an outage of Postgres is answered 500",
        API,
        "backends.py",
        "    except UNAVAILABLE as error:",
        "    except PermissionError as error:",
        13,
    ),
    _mutant(
        "timer-rejects",
        "the review's timer rejects",
        ORDER_WORKER,
        "workflow.py",
        'changes.decision = Review(approved=True, reviewer="timer")',
        'changes.decision = Review(approved=False, reviewer="timer")',
        14,
    ),
)
