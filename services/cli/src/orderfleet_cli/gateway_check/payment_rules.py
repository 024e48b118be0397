"""The rules of a payment gateway, a function each."""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from orderfleet.gateways.protocols import Charge, ChargeStatus
from orderfleet_cli.gateway_check.basic_rules import BASICS
from orderfleet_cli.gateway_check.payments import Payments
from orderfleet_cli.gateway_check.probe import AT_ONCE, both, together
from orderfleet_cli.gateway_check.rule import (
    BrokenRuleError,
    Contract,
    expect,
    is_refused,
    table,
)

NONE, CAPTURED = ChargeStatus.NONE, ChargeStatus.CAPTURED
VOIDED, REFUNDED = ChargeStatus.VOIDED, ChargeStatus.REFUNDED
_WHOLE: Final = "JPY"


async def unknown_key(gateway: Payments) -> None:
    """A look-up of a key that was never used is 404."""
    await _is(gateway, gateway.new(), NONE)


async def lookup_changes_nothing(gateway: Payments) -> None:
    """A look-up does not use the key up: a charge after it captures."""
    charge = gateway.new()
    await _is(gateway, charge, NONE)
    await _is(gateway, charge, NONE)
    await gateway.charge(charge)


async def charge(gateway: Payments) -> None:
    """A charge captures, and the look-up of its key shows that at once."""
    await _is(gateway, await gateway.charged(), CAPTURED)


async def replayed(gateway: Payments) -> None:
    """The first charge of a key is not `replayed`."""
    expect(not await gateway.charge(gateway.new()), "the first charge was `replayed`")


async def charge_repeated(gateway: Payments) -> None:
    """The same charge again is captured as before: neither refused nor captured twice."""
    charge = await gateway.charged()
    await gateway.charge(charge)
    await _is_captured_once(gateway, charge)


async def charge_at_once(gateway: Payments) -> None:
    """The same charge several times at once is captured once, and none of them is refused."""
    charge = gateway.new()
    replays = await together(gateway.charge(charge) for _ in range(AT_ONCE))
    if any(replays):
        fresh = replays.count(False)
        expect(fresh == 1, f"{fresh} of {AT_ONCE} charges at once were not `replayed`")
    await _is_captured_once(gateway, charge)


async def charge_reply_lost(gateway: Payments) -> None:
    """A charge whose reply was lost is captured once, whether it is repeated or not."""
    charge = gateway.new()
    await gateway.lose_reply(gateway.request(charge))
    await gateway.charge(charge)
    await _is_captured_once(gateway, charge)


async def other_amount(gateway: Payments) -> None:
    """A used key with another amount is refused or replayed: the other amount is not captured."""
    charge = await gateway.charged()
    await is_refused(gateway.charge(replace(charge, amount=f"1{charge.amount}")))
    await _is_captured_once(gateway, charge)


async def other_currency(gateway: Payments) -> None:
    """A currency that it does not take is refused by 409 or 422."""
    charge = gateway.new(amount="500", currency=_WHOLE)
    refused = await is_refused(gateway.charge(charge))
    status = await gateway.lookup(charge)
    expect(refused != (status is CAPTURED), f"refused: {refused}, and then {status}")


async def long_key(gateway: Payments) -> None:
    """A key may have 64 characters, all of which count."""
    key = gateway.new_key().ljust(63, ".")
    charge = gateway.new(f"{key}a")
    await gateway.charge(charge)
    await _is(gateway, charge, CAPTURED)
    await _is(gateway, gateway.new(f"{key}b"), NONE)


async def keys_by_case(gateway: Payments) -> None:
    """Keys that differ in capitals are different keys."""
    charge = await gateway.charged()
    await _is(gateway, gateway.new(charge.key.upper()), NONE)


async def void_before_charge(gateway: Payments) -> None:
    """A void of an unused key closes it: the answer and later look-ups are `voided`."""
    charge = gateway.new()
    _expect_status(await gateway.void(charge), VOIDED, "the void")
    await _is(gateway, charge, VOIDED)


async def late_charge(gateway: Payments) -> None:
    """A charge that arrives after the void is refused by 409 or 422, and the key stays closed."""
    charge = await gateway.voided()
    for _ in range(2):
        expect(await is_refused(gateway.charge(charge)), "the charge was captured")
    _expect_status(await gateway.void(charge), VOIDED, "the void after it")


async def void_repeated(gateway: Payments) -> None:
    """The same void again is `voided` as before."""
    charge = await gateway.voided()
    _expect_status(await gateway.void(charge), VOIDED, "the second void")


async def void_at_once(gateway: Payments) -> None:
    """The same void several times at once is `voided` each time."""
    await _at_once(gateway.void, gateway.new(), VOIDED)


async def void_reply_lost(gateway: Payments) -> None:
    """After a void whose reply was lost, another one closes the key."""
    charge = gateway.new()
    await gateway.lose_reply(gateway.request(charge, "void"))
    _expect_status(await gateway.void(charge), VOIDED, "the void")
    expect(await is_refused(gateway.charge(charge)), "a charge after it was captured")


async def void_after_charge(gateway: Payments) -> None:
    """A void of a captured key is too late: the answer is `captured`, and the money stays."""
    charge = await gateway.charged()
    _expect_status(await gateway.void(charge), CAPTURED, "the void")
    await _is(gateway, charge, CAPTURED)


async def void_after_refund(gateway: Payments) -> None:
    """A void of a refunded key answers `refunded`."""
    charge = await gateway.refunded()
    _expect_status(await gateway.void(charge), REFUNDED, "the void")


async def void_during_charge(gateway: Payments) -> None:
    """Of a charge and a void at once the first wins, and the other one's answer agrees."""
    for number in range(AT_ONCE):
        charge = gateway.new()
        charging, voiding = is_refused(gateway.charge(charge)), gateway.void(charge)
        refused, status = await both(charging, voiding, other_first=number % 2 == 1)
        expected = VOIDED if refused else CAPTURED
        word = "refused" if refused else "captured"
        _expect_status(status, expected, f"the charge was {word}: the void")
        await _is(gateway, charge, expected)


async def refund(gateway: Payments) -> None:
    """A refund gives the capture back: the answer and later look-ups are `refunded`."""
    charge = await gateway.charged()
    _expect_status(await gateway.refund(charge), REFUNDED, "the refund")
    await _is(gateway, charge, REFUNDED)


async def refund_repeated(gateway: Payments) -> None:
    """The same refund again is `refunded` as before."""
    charge = await gateway.refunded()
    _expect_status(await gateway.refund(charge), REFUNDED, "the second refund")


async def refund_at_once(gateway: Payments) -> None:
    """The same refund several times at once is `refunded` each time."""
    await _at_once(gateway.refund, await gateway.charged(), REFUNDED)


async def refund_reply_lost(gateway: Payments) -> None:
    """After a refund whose reply was lost, another one is `refunded`."""
    charge = await gateway.charged()
    await gateway.lose_reply(gateway.request(charge, "refund"))
    _expect_status(await gateway.refund(charge), REFUNDED, "the refund")


async def refund_after_void(gateway: Payments) -> None:
    """A refund of a voided key gives nothing back, and the key stays closed."""
    charge = await gateway.voided()
    if not await is_refused(gateway.refund(charge)):
        await _is(gateway, charge, VOIDED)
    expect(await is_refused(gateway.charge(charge)), "a charge after it was captured")


async def charge_after_refund(gateway: Payments) -> None:
    """A charge that arrives after the refund is refused: the key stays `refunded`."""
    charge = await gateway.refunded()
    expect(await is_refused(gateway.charge(charge)), "the charge was captured")
    await _is(gateway, charge, REFUNDED)


async def restart_keeps_captured(gateway: Payments) -> None:
    """After a restart a captured key is captured, and a repeated charge is no second one."""
    charge = await gateway.kept(CAPTURED)
    await _is(gateway, charge, CAPTURED)
    await gateway.charge(charge)
    await _is_captured_once(gateway, charge)


async def restart_keeps_voided(gateway: Payments) -> None:
    """After a restart a voided key is closed."""
    charge = await gateway.kept(VOIDED)
    expect(await is_refused(gateway.charge(charge)), "a charge after it was captured")


async def restart_keeps_refunded(gateway: Payments) -> None:
    """After a restart a refunded key is refunded, and closed."""
    charge = await gateway.kept(REFUNDED)
    await _is(gateway, charge, REFUNDED)
    expect(await is_refused(gateway.charge(charge)), "a charge after it was captured")


async def _is(gateway: Payments, charge: Charge, status: ChargeStatus) -> None:
    _expect_status(await gateway.lookup(charge), status, "a look-up")


async def _is_captured_once(gateway: Payments, charge: Charge) -> None:
    """Check that a key is captured, and that one refund leaves nothing captured."""
    await _is(gateway, charge, CAPTURED)
    await gateway.refund(charge)
    if (status := await gateway.lookup(charge)) is CAPTURED:
        raise BrokenRuleError("captured twice: after a refund, a look-up answers captured")
    _expect_status(status, REFUNDED, "after a refund, a look-up")


async def _at_once(
    call: Callable[[Charge], Awaitable[ChargeStatus]], charge: Charge, status: ChargeStatus
) -> None:
    for answer in await together(call(charge) for _ in range(AT_ONCE)):
        _expect_status(answer, status, "one of them")


def _expect_status(status: ChargeStatus, expected: ChargeStatus, what: str) -> None:
    expect(status is expected, f"{what} answers {status}, not {expected}")


CONTRACT: Final[Contract[Payments]] = Contract(
    BASICS,
    table(
        *(unknown_key, lookup_changes_nothing, charge, replayed, charge_repeated, charge_at_once),
        *(charge_reply_lost, other_amount, other_currency, long_key, keys_by_case),
        *(void_before_charge, late_charge, void_repeated, void_at_once, void_reply_lost),
        *(void_after_charge, void_after_refund, void_during_charge),
        *(refund, refund_repeated, refund_at_once, refund_reply_lost, refund_after_void),
        charge_after_refund,
    ),
    table(restart_keeps_captured, restart_keeps_voided, restart_keeps_refunded),
)
