"""A rule of the gateways' contract: a name, a sentence, and the check that finds it broken."""

from collections.abc import Awaitable, Callable
from inspect import getdoc
from typing import Generic, NamedTuple, TypeVar

from orderfleet.gateways.protocols import GatewayRefusedError

P_contra = TypeVar("P_contra", contravariant=True)
Check = Callable[[P_contra], Awaitable[None]]


class BrokenRuleError(Exception):
    """The gateway breaks the rule; the message says what it did."""


class NotCheckedError(Exception):
    """The rule cannot be checked; the message says why."""


class Rule(NamedTuple, Generic[P_contra]):
    """One rule."""

    name: str
    text: str
    check: Check[P_contra]


class Contract(NamedTuple, Generic[P_contra]):
    """The rules of a kind of gateway."""

    basics: tuple[Rule[P_contra], ...]
    """In turn: if one is broken, no other rule can be judged."""
    rules: tuple[Rule[P_contra], ...]
    """Several at once."""
    restarts: tuple[Rule[P_contra], ...]
    """At last, in turn: they share one restart of the gateway."""

    def all(self) -> tuple[Rule[P_contra], ...]:
        """Return all rules in the order of their results."""
        return self.basics + self.rules + self.restarts


def table(*checks: Check[P_contra]) -> tuple[Rule[P_contra], ...]:
    """Return the rules that functions check: their names and the first lines of their docs."""
    return tuple(
        Rule(check.__name__.replace("_", "-"), (getdoc(check) or "").splitlines()[0], check)
        for check in checks
    )


def expect(holds: bool, instead: str) -> None:
    """Go on if a condition holds.

    Raises:
        BrokenRuleError: it does not.
    """
    if not holds:
        raise BrokenRuleError(instead)


async def is_refused(call: Awaitable[object]) -> bool:
    """Make a call, and return whether the gateway refuses it."""
    try:
        await call
    except GatewayRefusedError:
        return True
    return False
