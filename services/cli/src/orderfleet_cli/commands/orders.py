"""Place an order, change it, tell of it: through the HTTP API."""

from typing import TYPE_CHECKING, Annotated, Any

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
    examples,
)
from orderfleet_cli.lazy import lazy

if TYPE_CHECKING:
    from orderfleet_cli import place as ordering
    from orderfleet_cli import running
    from orderfleet_cli import show as telling
else:
    ordering = lazy("orderfleet_cli.place")
    running = lazy("orderfleet_cli.running")
    telling = lazy("orderfleet_cli.show")


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(
        epilog=examples(
            "orderfleet start-workflow order-1 payment-1",
            "orderfleet start-workflow order-2 payment-2 --item ABC:2:12.50 --item XYZ --wait",
        )
    )(start_workflow)
    app.command(epilog=examples("orderfleet status order-1", "orderfleet status order-1 --json"))(
        status
    )
    app.command("list", epilog=examples("orderfleet list", "orderfleet list --state failed"))(
        list_orders
    )
    app.command(epilog=examples("orderfleet cancel order-1 --reason 'changed my mind'"))(cancel)
    app.command(
        epilog=examples("orderfleet update-address order-1 --street '2 Oak Rd' --city Shelbyville")
    )(update_address)
    app.command(
        epilog=examples(
            "orderfleet review order-1 --approve",
            "orderfleet review order-1 --reject --reviewer mia --reason 'looks odd'",
        )
    )(review)
    app.command(epilog=examples("orderfleet show order-1"))(show)


def start_workflow(
    order_id: Annotated[
        str, typer.Argument(metavar="ORDER_ID", help="Chosen by you; it is the workflow id too.")
    ],
    payment_id: Annotated[
        str, typer.Argument(metavar="PAYMENT_ID", help="One payment id pays for one order.")
    ],
    *,
    item: Annotated[
        list[str] | None,
        typer.Option(metavar="SKU[:QTY[:PRICE]]", help="What is ordered; may come often."),
    ] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "USD",
    street: Street = "1 Main St",
    city: City = "Springfield",
    name: Name = "",
    region: Region = "",
    postal_code: PostalCode = "",
    country: Country = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end; exit 0 only if it is fulfilled.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Place an order. The same order again is the same answer; another one of this id is refused.

    Without --item it is one ABC at 1.00.
    """
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
    items = [ordering.parse_item(text) for text in item or ()]
    if items:
        order["items"] = items
    running.run(ordering.start(order_id, order, wait=wait, as_json=as_json))


def status(order_id: OrderId, as_json: AsJson = False) -> None:
    """Tell state, step, attempts, errors and the time left.

    It comes from the workflow or, if no worker answers, from the record in Postgres.
    """
    running.run(telling.status(order_id, as_json=as_json))


def list_orders(
    state: Annotated[
        OrderState | None, typer.Option(help="Only orders in this state.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Orders on a page.")] = 50,
    cursor: Annotated[
        str, typer.Option(help="What the page before ended with.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List orders, the newest first, a page at a time."""
    running.run(telling.listing(state, limit, cursor, as_json=as_json))


def cancel(
    order_id: OrderId,
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Cancel an order while its package has not been dispatched; money goes back."""
    running.run(ordering.cancel(order_id, reason, as_json=as_json))


def update_address(
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
    """Change where an order goes while its package has not been dispatched.

    The new address replaces the whole old one.
    """
    new = address(
        street=street,
        city=city,
        name=name,
        region=region,
        postal_code=postal_code,
        country=country,
    )
    running.run(ordering.update_address(order_id, new, as_json=as_json))


def review(
    order_id: OrderId,
    approve: Annotated[
        bool, typer.Option("--approve/--reject", help="The decision.", show_default=False)
    ],
    reviewer: Annotated[str, typer.Option(help="Who decides.", show_default=False)] = "",
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Decide on an order under review before its timer does."""
    running.run(
        ordering.review(
            order_id, approved=approve, reviewer=reviewer, reason=reason, as_json=as_json
        )
    )


def show(order_id: OrderId, as_json: AsJson = False) -> None:
    """Show an order as Postgres has it: the row, its payments, its audit trail."""
    running.run(telling.record(order_id, as_json=as_json))
