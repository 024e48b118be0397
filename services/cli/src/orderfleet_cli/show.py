"""Show an order's status, its record, or a page of orders."""

from collections.abc import Iterator

import msgspec

from orderfleet.domain.orders import OrderState
from orderfleet_cli.api_client import Json, open_configured_api
from orderfleet_cli.printing import console, fields, moment, one_line, show, show_json, table


async def show_status(order_id: str, *, as_json: bool) -> None:
    """Show the live view of an order."""
    async with open_configured_api() as api:
        view = await api.status(order_id)
    if as_json:
        show_json(view)
        return
    show(fields(_status_fields(view)))
    if view["steps"]:
        show("", table("step", "attempts", "last error", rows=_steps(view)))
    for error in view["errors"]:
        show(f"error: {one_line(error)}")


async def show_page(state: OrderState | None, limit: int, cursor: str, *, as_json: bool) -> None:
    """Show a page of orders."""
    query: dict[str, str | int] = {"limit": limit}
    if state is not None:
        query["state"] = state.value
    if cursor:
        query["cursor"] = cursor
    async with open_configured_api() as api:
        page = await api.orders(**query)
    if as_json:
        show_json(page)
        return
    rows = (
        (
            order["id"],
            order["state"],
            f"{order['amount']} {order['currency']}",
            order["payment_id"],
            moment(order["created_at"])[:19],
            moment(order["updated_at"])[:19],
        )
        for order in page["orders"]
    )
    columns = ("order", "state", "amount", "payment", "created (UTC)", "updated (UTC)")
    show(table(*columns, rows=rows))
    if page["next"]:
        console(error=True).print(f"more: --cursor {page['next']}")


async def show_record(order_id: str, *, as_json: bool) -> None:
    """Show the record of an order."""
    async with open_configured_api() as api:
        order = await api.order(order_id)
    if as_json:
        show_json(order)
        return
    show(fields(_order_fields(order)))
    if order["payments"]:
        show("", table("payment", "status", "amount", "created (UTC)", rows=_payments(order)))
    show("", table("no", "time (UTC)", "event", "", rows=_events(order)))


def _status_fields(view: Json) -> Iterator[tuple[str, str]]:
    recorded = view["source"] == "record"
    yield "order", view["order_id"]
    yield "state", view["state"]
    yield "step", view["step"]
    yield "reason", one_line(view["reason"])
    yield "address", _address(view["address"] or {})
    yield "time left", f"{view['seconds_left']:.1f} s" if view["seconds_left"] else ""
    yield "shipping attempts", str(view["shipping_attempts"] or "")
    yield "refund", "started" if view["refund_started"] else ""
    yield "source", "record (no worker answered)" if recorded else "workflow"


def _steps(view: Json) -> Iterator[tuple[str, str, str]]:
    for name, step in view["steps"].items():
        yield name, str(step["attempts"]), one_line(step["last_error"])


def _order_fields(order: Json) -> Iterator[tuple[str, str]]:
    yield "order", order["id"]
    yield "state", order["state"]
    yield "amount", f"{order['amount']} {order['currency']}"
    yield "items", ", ".join(f"{item['quantity']} {item['sku']}" for item in order["items"])
    yield "address", _address(order["address"])
    yield "payment", order["payment_id"]
    yield "created (UTC)", moment(order["created_at"])
    yield "updated (UTC)", moment(order["updated_at"])


def _payments(order: Json) -> Iterator[tuple[str, ...]]:
    for payment in order["payments"]:
        amount = f"{payment['amount']} {payment['currency']}"
        created_at = moment(payment["created_at"])
        yield payment["payment_id"], payment["status"], amount, created_at


def _events(order: Json) -> Iterator[tuple[str, ...]]:
    for event in order["events"]:
        payload = msgspec.json.encode(event["payload"]).decode() if event["payload"] else ""
        yield str(event["number"]), moment(event["ts"]), event["type"], one_line(payload)


def _address(address: Json) -> str:
    parts = ("name", "street", "postal_code", "city", "region", "country")
    return ", ".join(address[part] for part in parts if address.get(part))
