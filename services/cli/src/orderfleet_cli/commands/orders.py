"""Place an order, change it, show it: through the HTTP API."""

import re
from typing import Annotated, Any, Final, NotRequired, TypedDict

import typer

from orderfleet.domain.orders import OrderState
from orderfleet_cli.commands.options import (
    AsJson,
    City,
    Country,
    Name,
    OrderId,
    PostalCode,
    Region,
    Street,
    address,
    asynchronous,
    examples,
)

_ITEM: Final = re.compile(r"(?P<sku>[^:]+)(:(?P<quantity>\d+)(:(?P<price>[^:]+))?)?")

commands = typer.Typer()


class _Item(TypedDict):
    """An item as the API takes it."""

    sku: str
    quantity: NotRequired[int]
    price: NotRequired[str]


def _parse_item(text: str) -> _Item:
    match = _ITEM.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not SKU[:QTY[:PRICE]], for example ABC:2:12.50")
    item = _Item(sku=match["sku"])
    if match["quantity"]:
        item["quantity"] = int(match["quantity"])
    if match["price"]:
        item["price"] = match["price"]
    return item


@commands.command(
    epilog=examples(
        "orderfleet start-workflow order-1 payment-1",
        "orderfleet start-workflow order-2 payment-2 --item ABC:2:12.50 --item XYZ --wait",
    )
)
@asynchronous
async def start_workflow(
    order_id: Annotated[
        str, typer.Argument(metavar="ORDER_ID", help="Chosen by you; it is the workflow id too.")
    ],
    payment_id: Annotated[
        str, typer.Argument(metavar="PAYMENT_ID", help="One payment id pays for one order.")
    ],
    *,
    item: Annotated[
        list[_Item] | None,
        typer.Option(
            parser=_parse_item, metavar="SKU[:QTY[:PRICE]]", help="An item; repeat it for more."
        ),
    ] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "USD",
    street: Street = "1 Main St",
    city: City = "Springfield",
    name: Name = "",
    region: Region = "",
    postal_code: PostalCode = "",
    country: Country = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it ends; exit 0 only if it is fulfilled.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Place an order. Repeating it is safe; another order with the same id is refused.

    Without --item the order is one ABC at 1.00.
    """
    from orderfleet_cli.place import place_order

    order: dict[str, Any] = {
        "payment_id": payment_id,
        "currency": currency,
        "address": address(
            street=street,
            city=city,
            name=name,
            region=region,
            postal_code=postal_code,
            country=country,
        ),
    }
    if item:
        order["items"] = item
    await place_order(order_id, order, wait=wait, as_json=as_json)


@commands.command(epilog=examples("orderfleet status order-1", "orderfleet status order-1 --json"))
@asynchronous
async def status(order_id: OrderId, as_json: AsJson = False) -> None:
    """Show an order's state, step, attempts, errors and the time left.

    The source is the workflow or, if no worker answers, the record in Postgres.
    """
    from orderfleet_cli.show import show_status

    await show_status(order_id, as_json=as_json)


@commands.command("list", epilog=examples("orderfleet list", "orderfleet list --state failed"))
@asynchronous
async def list_orders(
    state: Annotated[
        OrderState | None, typer.Option(help="Only orders in this state.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Orders on a page.")] = 50,
    cursor: Annotated[
        str, typer.Option(help="Cursor printed after the page before.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List orders, the newest first, a page at a time."""
    from orderfleet_cli.show import show_page

    await show_page(state, limit, cursor, as_json=as_json)


@commands.command(epilog=examples("orderfleet cancel order-1 --reason 'changed my mind'"))
@asynchronous
async def cancel(
    order_id: OrderId,
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Cancel an order whose package is not dispatched yet; the payment is refunded."""
    from orderfleet_cli.change import cancel_order

    await cancel_order(order_id, reason, as_json=as_json)


@commands.command(
    epilog=examples("orderfleet update-address order-1 --street '2 Oak Rd' --city Shelbyville")
)
@asynchronous
async def update_address(
    order_id: OrderId,
    *,
    street: Annotated[str, typer.Option(help="Street and number.", show_default=False)],
    city: Annotated[str, typer.Option(help="Town.", show_default=False)],
    name: Name = "",
    region: Region = "",
    postal_code: PostalCode = "",
    country: Country = "",
    as_json: AsJson = False,
) -> None:
    """Change the address of an order whose package is not dispatched yet.

    The new address replaces the old one as a whole.
    """
    from orderfleet_cli.change import change_address

    new = address(
        street=street,
        city=city,
        name=name,
        region=region,
        postal_code=postal_code,
        country=country,
    )
    await change_address(order_id, new, as_json=as_json)


@commands.command(
    epilog=examples(
        "orderfleet review order-1 --approve",
        "orderfleet review order-1 --reject --reviewer mia --reason 'looks odd'",
    )
)
@asynchronous
async def review(
    order_id: OrderId,
    approve: Annotated[
        bool, typer.Option("--approve/--reject", help="The decision.", show_default=False)
    ],
    reviewer: Annotated[str, typer.Option(help="Who decides.", show_default=False)] = "",
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Approve or reject an order under review, before the timer approves it."""
    from orderfleet_cli.change import review_order

    await review_order(
        order_id, approved=approve, reviewer=reviewer, reason=reason, as_json=as_json
    )


@commands.command(epilog=examples("orderfleet show order-1"))
@asynchronous
async def show(order_id: OrderId, as_json: AsJson = False) -> None:
    """Show an order's record in Postgres: the row, its payments, its audit trail."""
    from orderfleet_cli.show import show_record

    await show_record(order_id, as_json=as_json)


@commands.command(
    epilog=examples(
        "orderfleet events --follow",
        "orderfleet events --follow --state failed --state timed_out --json",
        "orderfleet events --order order-1",
    )
)
@asynchronous
async def events(
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show events as they come, until Ctrl-C.")
    ] = False,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR",
            help="Begin after this event. By default at the first, with --follow at the next.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Events on a page.")] = 100,
    order: Annotated[
        list[str] | None, typer.Option(help="Only of this order; repeat it for more.")
    ] = None,
    state: Annotated[
        list[OrderState] | None,
        typer.Option(help="Only events that left their order in this state."),
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type.")
    ] = None,
    tenant: Annotated[
        list[str] | None, typer.Option(help="Only of orders placed with the API key of this name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the events of all orders, each once, in one sequence."""
    from orderfleet_cli.events import follow_events, show_events

    query = {
        "order_id": order or [],
        "state": [value.value for value in state or []],
        "type": type_ or [],
        "tenant": tenant or [],
    }
    if follow:
        await follow_events(query, after, as_json=as_json)
    else:
        await show_events(query, after, limit, as_json=as_json)
