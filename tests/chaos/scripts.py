"""What each customer does: an order and its calls, from the run's seed and the order's number."""

from collections.abc import Callable
from random import Random
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Struct

from orderfleet.gateways.simulated import Fault
from tests.chaos.recording import CANCEL, LIST, MOVE, PLACE, REVIEW, SHOW, STATUS

STREAM: Final = "stream"
LINKS: Final = "links"
OVERVIEW: Final = "overview"
_READS: Final = (SHOW, STATUS, STATUS, LIST, LINKS, OVERVIEW)

FLAKY: Final = "flaky-*"
# By the kind of an order, the first part of its id: what its gateways do, and how often it comes.
KINDS: Final[dict[str, tuple[int, tuple[Fault, ...]]]] = {
    "plain": (30, ()),
    "empty": (2, ()),
    "flaky": (6, ()),
    "reply-lost": (6, (Fault(at="charge", kind="reply_lost", orders="", times=1),)),
    "declined": (5, (Fault(at="charge", kind="refuse", orders=""),)),
    "charge-fails": (3, (Fault(at="charge", kind="fail_before", orders="", times=2),)),
    "charge-slow": (6, (Fault(at="charge", kind="hang_before", orders="", seconds=1.5),)),
    "charge-late": (5, (Fault(at="charge", kind="hang_before", orders="", seconds=4),)),
    "charge-silent": (4, (Fault(at="charge", kind="hang_after", orders="", times=1, seconds=20),)),
    "too-late": (3, (Fault(at="charge", kind="hang_before", orders="", seconds=13.5),)),
    "refused-once": (8, (Fault(at="dispatch", kind="refuse", orders="", times=1),)),
    "refused": (5, (Fault(at="dispatch", kind="refuse", orders=""),)),
    "carrier-slow": (8, (Fault(at="dispatch", kind="hang_before", orders="", seconds=1.5),)),
    "carrier-silent": (
        6,
        (Fault(at="dispatch", kind="hang_after", orders="", times=1, seconds=20),),
    ),
    "carrier-lost": (5, (Fault(at="dispatch", kind="reply_lost", orders="", times=1),)),
    "carrier-hangs": (4, (Fault(at="dispatch", kind="hang_before", orders="", seconds=11),)),
    # The call never arrives.
    "charge-dead": (3, (Fault(at="charge", kind="hang_before", orders="", seconds=600),)),
    "carrier-dead": (4, (Fault(at="dispatch", kind="hang_before", orders="", seconds=600),)),
    "unseen": (
        4,
        (
            Fault(at="dispatch", kind="hang_before", orders="", seconds=4),
            Fault(at="lookup", kind="hang_before", orders="", seconds=20),
        ),
    ),
    "refund-fails": (
        4,
        (
            Fault(at="dispatch", kind="refuse", orders=""),
            Fault(at="refund", kind="reply_lost", orders="", times=1),
        ),
    ),
    "recall-fails": (
        4,
        (
            Fault(at="dispatch", kind="hang_before", orders="", seconds=4),
            Fault(at="lookup", kind="hang_before", orders="", seconds=20),
            Fault(at="recall", kind="reply_lost", orders="", times=1),
        ),
    ),
}
ENV: Final = {
    "ORDERFLEET_FLAKY": FLAKY,
    "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode(
        [
            msgspec.structs.replace(fault, orders=f"{kind}-*")
            for kind, (_, faults) in KINDS.items()
            for fault in faults
        ]
    ).decode(),
}


class Step(Struct, frozen=True, kw_only=True):
    """A call, so many seconds after the order's acceptance."""

    after: float
    operation: str
    key: str = ""
    body: Any = None
    copies: int = 1
    """How many send the same at once."""
    patience: float = 10.0
    """Seconds after which the client goes away, without the answer."""


class Script(Struct, frozen=True, kw_only=True):
    """An order and what its customer does with it."""

    order_id: str
    body: dict[str, Any]
    key: str = ""
    """With it, the order is placed by `POST /orders`."""
    eager: bool = False
    """Whether the customer does not wait for the answer; what comes too early gets a 404."""
    steps: list[Step]


def script(seed: int, number: int) -> Script:
    """Return the script of an order, always the same for a seed and a number."""
    chance = Random(f"{seed}/{number}")
    kind = chance.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    order_id, key = _id(seed, number, kind), ""
    if kind == "plain" and chance.random() < 0.1:
        key = f"key-{order_id}"
        order_id = str(uuid5(NAMESPACE_URL, f"orderfleet:{key}"))
    body: dict[str, Any] = {
        "payment_id": f"pay-{seed}-{number}",
        "address": _address(chance),
        "items": _items(chance) if kind != "empty" else [],
    }
    if number and chance.random() < 0.04:
        # With the payment of another order, which may be on its way at the same time.
        body["payment_id"] = f"pay-{seed}-{number - chance.randint(1, min(number, 3))}"
    steps = [step for _ in range(chance.randint(1, 5)) for step in chance.choice(_ACTS)(chance)]
    if chance.random() < 0.4:
        steps.append(Step(after=chance.uniform(0, 3), operation=STREAM))
    if chance.random() < 0.3:
        steps.append(_again(chance, body))
    return Script(
        order_id=order_id,
        body=body,
        key=key,
        eager=chance.random() < 0.1,
        steps=sorted(steps, key=lambda step: step.after),
    )


def _id(seed: int, number: int, kind: str) -> str:
    return f"{kind}-{seed}-{number}"


def _address(chance: Random) -> dict[str, Any]:
    address = {"street": f"{chance.randint(1, 999)} Main St", "city": "Springfield"}
    return address | ({"name": "Ann"} if chance.random() < 0.5 else {})


def _items(chance: Random) -> list[dict[str, Any]]:
    return [
        {
            "sku": f"SKU-{chance.randint(1, 99)}",
            "quantity": chance.randint(1, 5),
            "price": f"{chance.randint(1, 99)}.{chance.randint(0, 99):02}",
        }
        for _ in range(chance.randint(1, 3))
    ]


def _moment(chance: Random) -> float:
    """Return a moment: mostly while the order is under review or under way, rarely late."""
    return chance.uniform(0, 5) if chance.random() < 0.8 else chance.uniform(5, 16)


def _key(chance: Random) -> str:
    return f"{chance.getrandbits(40):010x}"


def _once_or_more(chance: Random, step: Step) -> list[Step]:
    """Return the change alone, or twice at once, or repeated, or with a lost answer."""
    draw = chance.random()
    if draw < 0.4:
        return [step]
    if draw < 0.6:
        return [msgspec.structs.replace(step, copies=2)]
    again = msgspec.structs.replace(step, after=step.after + chance.uniform(0.05, 4))
    if draw < 0.85:
        return [step, again]
    return [msgspec.structs.replace(step, patience=chance.uniform(0.005, 0.1)), again]


def _cancel(chance: Random) -> list[Step]:
    body = {"reason": "changed my mind"} if chance.random() < 0.5 else None
    step = Step(after=_moment(chance), operation=CANCEL, key=_key(chance), body=body)
    return _once_or_more(chance, step)


def _move(chance: Random) -> list[Step]:
    body = {"address": _address(chance)}
    step = Step(after=_moment(chance), operation=MOVE, key=_key(chance), body=body)
    return _once_or_more(chance, step)


def _move_other(chance: Random) -> list[Step]:
    """Return two changes of address with one key: one of them has to be refused."""
    key, after = _key(chance), _moment(chance)
    return [
        Step(after=after + later, operation=MOVE, key=key, body={"address": _address(chance)})
        for later in (0, chance.uniform(0, 1))
    ]


def _review(chance: Random) -> list[Step]:
    body = {"approved": chance.random() < 0.6, "reviewer": "somebody", "reason": "looked at it"}
    # The review is open for 2 s.
    step = Step(after=chance.uniform(0, 2.5), operation=REVIEW, key=_key(chance), body=body)
    return _once_or_more(chance, step)


def _reviews(chance: Random) -> list[Step]:
    """Return two people's decisions, at nearly the same time."""
    return [*_review(chance), *_review(chance)]


def _reads(chance: Random) -> list[Step]:
    return [
        Step(after=_moment(chance), operation=chance.choice(_READS))
        for _ in range(chance.randint(1, 3))
    ]


_ACTS: Final[tuple[Callable[[Random], list[Step]], ...]] = (
    _cancel,
    _move,
    _move,
    _move_other,
    _review,
    _reviews,
    _reads,
    _reads,
    _reads,
)


def _again(chance: Random, body: dict[str, Any]) -> Step:
    """Place the order again: the same, or another with its id."""
    if chance.random() < 0.4:
        body = body | {"payment_id": f"{body['payment_id']}-other"}
    return Step(after=chance.uniform(0, 6), operation=PLACE, body=body)
