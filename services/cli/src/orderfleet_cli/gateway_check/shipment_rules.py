"""The rules of a carrier, a function each."""

from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from orderfleet.domain.orders import Address
from orderfleet.gateways.protocols import GatewayRefusedError, Shipment
from orderfleet.gateways.redaction import TRACKING_BYTES, sanitize
from orderfleet_cli.gateway_check.basic_rules import BASICS
from orderfleet_cli.gateway_check.probe import AT_ONCE, both, together
from orderfleet_cli.gateway_check.rule import Contract, expect, is_refused, table
from orderfleet_cli.gateway_check.shipments import HOME, Shipments

_ANY_SCRIPT: Final = Address(
    street="Königstraße 12", city="東京", name="Łucja O'Neil", postal_code="100-0001", country="JP"
)


async def unknown_key(gateway: Shipments) -> None:
    """A look-up of a key that was never used is 404."""
    await _is(gateway, gateway.new(), None)


async def lookup_changes_nothing(gateway: Shipments) -> None:
    """A look-up does not use the key up: a hand-over after it is taken."""
    shipment = gateway.new()
    await _is(gateway, shipment, None)
    await _is(gateway, shipment, None)
    await gateway.dispatch(shipment)


async def dispatch(gateway: Shipments) -> None:
    """A package is taken, and the look-up of its key has the same tracking number at once."""
    shipment, tracking = await gateway.dispatched()
    await _is(gateway, shipment, tracking)


async def tracking_number(gateway: Shipments) -> None:
    """A tracking number has 200 bytes at most, no control characters, and none of the address."""
    shipment, tracking = await gateway.dispatched()
    content = (await gateway.send(gateway.request(shipment))).content
    for part in (HOME.street, HOME.city, HOME.name):
        expect(part.casefold() not in tracking.casefold(), "it has a part of the address")
    expect(tracking.encode() in content, "it is too long, or has control characters")
    expect(sanitize(tracking, TRACKING_BYTES) == tracking, "it is too long")


async def dispatch_repeated(gateway: Shipments) -> None:
    """The same package again gets the same tracking number: it is not taken twice."""
    shipment, tracking = await gateway.dispatched()
    await _gets(gateway, shipment, tracking)


async def dispatch_at_once(gateway: Shipments) -> None:
    """The same package several times at once gets one tracking number, and is never refused."""
    shipment = gateway.new()
    numbers = set(await together(gateway.dispatch(shipment) for _ in range(AT_ONCE)))
    expect(len(numbers) == 1, f"{len(numbers)} tracking numbers")
    await _is(gateway, shipment, numbers.pop())


async def dispatch_reply_lost(gateway: Shipments) -> None:
    """A package whose reply was lost is taken once, and a repeat gets its tracking number."""
    shipment = gateway.new()
    await gateway.lose_reply(gateway.request(shipment))
    tracking = await gateway.dispatch(shipment)
    await _gets(gateway, shipment, tracking)
    await _is(gateway, shipment, tracking)


async def other_address(gateway: Shipments) -> None:
    """A used key with another address is refused, or gets the first tracking number."""
    shipment, tracking = await gateway.dispatched()
    other = replace(shipment, address=replace(HOME, street="2 Side St"))
    with suppress(GatewayRefusedError):
        await _gets(gateway, other, tracking)
    await _is(gateway, shipment, tracking)


async def any_script(gateway: Shipments) -> None:
    """An address may have any letters; one that it does not deliver to is refused by 409 or 422."""
    shipment = gateway.new(address=_ANY_SCRIPT)
    refused = await is_refused(gateway.dispatch(shipment))
    taken = await gateway.lookup(shipment) is not None
    expect(refused != taken, f"refused: {refused}, and taken: {taken}")


async def key_with_slash(gateway: Shipments) -> None:
    """A key has a slash, `%2F` in a path, and what follows it counts."""
    shipment, tracking = await gateway.dispatched()
    await _is(gateway, shipment, tracking)
    await _is(gateway, gateway.new(f"{shipment.order_id}/2"), None)


async def long_key(gateway: Shipments) -> None:
    """A key may have 66 characters, all of which count."""
    key = gateway.new_key().ljust(63, ".")
    shipment = gateway.new(f"{key}a/1")
    await _is(gateway, shipment, await gateway.dispatch(shipment))
    await _is(gateway, gateway.new(f"{key}b/1"), None)


async def keys_by_case(gateway: Shipments) -> None:
    """Keys that differ in capitals are different keys."""
    shipment, _ = await gateway.dispatched()
    await _is(gateway, gateway.new(shipment.key.upper()), None)


async def recall_before_dispatch(gateway: Shipments) -> None:
    """A recall of an unused key closes it, and answers that there was no package."""
    shipment = gateway.new()
    expect(not await gateway.recall(shipment), "it answers `recalled`: true")
    await _is(gateway, shipment, None)


async def late_dispatch(gateway: Shipments) -> None:
    """A package that arrives after the recall is refused by 409 or 422: the key stays closed."""
    shipment = await gateway.closed()
    for _ in range(2):
        await _is_closed(gateway, shipment)


async def recall(gateway: Shipments) -> None:
    """A recall calls the package back (`true`), or is refused while look-ups still find it."""
    shipment, tracking = await gateway.dispatched()
    try:
        recalled = await gateway.recall(shipment)
    except GatewayRefusedError:
        await _is(gateway, shipment, tracking)
    else:
        expect(recalled, "it answers that there was no package")
        await _is(gateway, shipment, None)


async def dispatch_after_recall(gateway: Shipments) -> None:
    """A package that was called back is refused if it arrives again."""
    shipment, _ = await gateway.dispatched()
    if not await is_refused(gateway.recall(shipment)):
        await _is_closed(gateway, shipment)


async def recall_repeated(gateway: Shipments) -> None:
    """The same recall again is answered, and changes nothing."""
    shipment, _ = await gateway.dispatched()
    if not await is_refused(gateway.recall(shipment)):
        await gateway.recall(shipment)
        await _is(gateway, shipment, None)


async def recall_at_once(gateway: Shipments) -> None:
    """The same recall several times at once calls the package back, or is refused each time."""
    shipment, tracking = await gateway.dispatched()
    refusals = await together(is_refused(gateway.recall(shipment)) for _ in range(AT_ONCE))
    expect(len(set(refusals)) == 1, f"{sum(refusals)} of {AT_ONCE} are refused")
    await _is(gateway, shipment, tracking if all(refusals) else None)


async def recall_reply_lost(gateway: Shipments) -> None:
    """After a recall whose reply was lost, another one closes the key."""
    shipment = gateway.new()
    await gateway.lose_reply(gateway.request(shipment, "recall"))
    await gateway.recall(shipment)
    await _is_closed(gateway, shipment)


async def recall_during_dispatch(gateway: Shipments) -> None:
    """Of a hand-over and a recall at once, no package is taken that the recall does not know of."""
    for number in range(AT_ONCE):
        shipment = gateway.new()
        dispatching, recalling = is_refused(gateway.dispatch(shipment)), _recall(gateway, shipment)
        refused, recalled = await both(dispatching, recalling, other_first=number % 2 == 1)
        if recalled is None:
            # A package that cannot be called back is on its way.
            continue
        word = "refused" if refused else "taken"
        expect(refused != recalled, f"the package was {word}, and `recalled` is {recalled}")
        await _is(gateway, shipment, None)


async def restart_keeps_taken(gateway: Shipments) -> None:
    """After a restart a package that was taken is found, and not taken again."""
    shipment = await gateway.kept("taken")
    tracking = await gateway.lookup(shipment)
    expect(tracking is not None, "a look-up finds nothing")
    await _gets(gateway, shipment, tracking)


async def restart_keeps_recalled(gateway: Shipments) -> None:
    """After a restart a recalled key is closed."""
    await _is_closed(gateway, await gateway.kept("recalled"))


async def _recall(gateway: Shipments, shipment: Shipment) -> bool | None:
    """Recall; None if that is refused."""
    try:
        return await gateway.recall(shipment)
    except GatewayRefusedError:
        return None


async def _is(gateway: Shipments, shipment: Shipment, tracking: str | None) -> None:
    found = await gateway.lookup(shipment)
    expect(found == tracking, f"a look-up finds {found or 'nothing'}, not {tracking or 'nothing'}")


async def _gets(gateway: Shipments, shipment: Shipment, tracking: str | None) -> None:
    again = await gateway.dispatch(shipment)
    expect(again == tracking, f"the tracking number is {again}, after {tracking}")


async def _is_closed(gateway: Shipments, shipment: Shipment) -> None:
    expect(await is_refused(gateway.dispatch(shipment)), "the package was taken")
    await _is(gateway, shipment, None)


CONTRACT: Final[Contract[Shipments]] = Contract(
    BASICS,
    table(
        *(unknown_key, lookup_changes_nothing, dispatch, tracking_number, dispatch_repeated),
        *(dispatch_at_once, dispatch_reply_lost, other_address, any_script, key_with_slash),
        *(long_key, keys_by_case, recall_before_dispatch, late_dispatch, recall),
        *(dispatch_after_recall, recall_repeated, recall_at_once, recall_reply_lost),
        recall_during_dispatch,
    ),
    table(restart_keeps_taken, restart_keeps_recalled),
)
