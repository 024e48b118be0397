"""Tell of orders: one, its record, many."""

from collections.abc import Iterator

import msgspec

from orderfleet.domain.orders import OrderState
from orderfleet_cli.api_client import Json, open_configured_api
from orderfleet_cli.printing import console, fields, moment, one_line, show, show_json, table


async def show_status(order_id: str, *, as_json: bool) -> None:
    """Show the live view of an order."""
    async with open_configured_api() as api:
        found = await api.status(order_id)
    if as_json:
        show_json(found)
        return
    show(fields(_status_fields(found)))
    if found["steps"]:
        show("", table("step", "attempts", "last error", rows=_steps(found)))
    for error in found["errors"]:
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


def _status_fields(found: Json) -> Iterator[tuple[str, str]]:
    recorded = found["source"] == "record"
    yield "order", found["order_id"]
    yield "state", found["state"]
    yield "step", found["step"]
    yield "reason", one_line(found["reason"])
    yield "address", _address(found["address"] or {})
    yield "time left", f"{found['seconds_left']:.1f} s" if found["seconds_left"] else ""
    yield "shipping attempts", str(found["shipping_attempts"] or "")
    yield "refund", "started" if found["refund_started"] else ""
    yield "told by", "the record: no worker answered" if recorded else "the workflow"


def _steps(found: Json) -> Iterator[tuple[str, str, str]]:
    for name, step in found["steps"].items():
        yield name, str(step["attempts"]), one_line(step["last_error"])


def _order_fields(order: Json) -> Iterator[tuple[str, str]]:
    yield "order", order["id"]
    yield "state", order["state"]
    yield "amount", f"{order['amount']} {order['currency']}"
    yield "items", ", ".join(f"{one['quantity']} {one['sku']}" for one in order["items"])
    yield "address", _address(order["address"])
    yield "payment", order["payment_id"]
    yield "created (UTC)", moment(order["created_at"])
    yield "updated (UTC)", moment(order["updated_at"])


def _payments(order: Json) -> Iterator[tuple[str, ...]]:
    for one in order["payments"]:
        amount = f"{one['amount']} {one['currency']}"
        yield one["payment_id"], one["status"], amount, moment(one["created_at"])


def _events(order: Json) -> Iterator[tuple[str, ...]]:
    for one in order["events"]:
        payload = one_line(msgspec.json.encode(one["payload"]).decode()) if one["payload"] else ""
        yield str(one["number"]), moment(one["ts"]), one["type"], payload


def _address(address: Json) -> str:
    parts = ("name", "street", "postal_code", "city", "region", "country")
    return ", ".join(address[part] for part in parts if address.get(part))
