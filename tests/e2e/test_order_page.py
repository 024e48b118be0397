"""An order's own page in a browser: what a person sees of it, decides, and looks back at."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from msgspec import to_builtins
from playwright.async_api import Page, ViewportSize, expect
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_TASK_QUEUE, ORDER_WORKFLOW, OrderInput
from orderfleet.domain.orders import Address
from tests.e2e.support.apis import DESK, READER
from tests.e2e.support.browser import browse, check_access, enter_key
from tests.e2e.support.orders import HOME, Orders, new_id
from tests.support.cli import Cli

pytestmark = pytest.mark.asyncio(loop_scope="session")

_WIDE: Final[ViewportSize] = {"width": 1280, "height": 900}
_PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
# Opens the form and types before the browser's next task, where a busy browser may be late.
_TYPE_AT_ONCE = """(input, text) => {
  input.closest("details").querySelector("summary").click();
  input.value = text;
}"""


async def _open(page: Page, desk: Orders, order_id: str, key: str) -> None:
    """Open the page of an order that is placed then: no browser is slower than a review."""
    await page.goto(f"{desk.http.base_url}/board#/orders/{order_id}")
    await enter_key(page, key)
    await expect(page.get_by_role("alert")).to_have_text(f"There is no order {order_id}.")
    answer = await desk.start(order_id)
    answer.raise_for_status()
    await expect(page.locator(".order-head .state")).to_have_text("in review")


async def test_a_person_approves_an_order_and_looks_back(desk: Orders) -> None:
    order_id = new_id("plain")
    async with browse(viewport=_WIDE) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await _open(page, desk, order_id, DESK)
        # An answer that is no success is shown as it is.
        summary = page.get_by_text("Change the address").first
        city = page.get_by_label("city")
        await city.evaluate(_TYPE_AT_ONCE, "\N{ZERO WIDTH SPACE}")
        await page.locator("form button", has_text="Change the address").click()
        answer = page.locator(".answer")
        await expect(answer).to_contain_text("422 Unprocessable Entity: ")
        # A form that is closed has the order's own address again.
        await summary.click()
        await expect(city).to_have_value(HOME["city"])
        await page.get_by_label("Your name").fill("Ann")
        await page.get_by_role("button", name="Approve").click()
        await expect(answer).to_contain_text("Approved. The order is ")
        await expect(page.locator(".order-head .state")).to_have_text("fulfilled")
        await expect(page.get_by_text("Nothing: the order has ended.")).to_be_visible()
        order = await desk.show(order_id)
        types = [event["type"] for event in order["events"]]
        assert order["events"][types.index("reviewed")]["payload"]["by"] == "Ann"
        # Back by the keyboard to the moment before the charge: the row and the money of then.
        slider = page.get_by_role("slider")
        await slider.focus()
        for _ in range(len(types) - 1 - types.index("reviewed")):
            await slider.press("ArrowLeft")
        text = await slider.get_attribute("aria-valuetext") or ""
        assert text.startswith("reviewed, +")
        assert text.endswith("order in review")
        row = page.locator(".past .row")
        await expect(row).to_contain_text("Paymentno row")
        await slider.press("ArrowRight")
        await expect(row).to_contain_text("Paymentpendingchanged")
        await page.locator(".log button", has_text="charged").click()
        await expect(row).to_contain_text("Money held1.00 USD")
        link = page.get_by_role("link", name="Workflow in Temporal")
        ui = f"{desk.fleet.temporal_ui_url}/namespaces/default/workflows/{order_id}/"
        assert (await link.get_attribute("href") or "").startswith(ui)
        await check_access(page)
        assert errors == []


async def test_a_key_without_the_role_sees_an_order_and_decides_nothing(desk: Orders) -> None:
    order_id = new_id("declined")
    async with browse(viewport=_PHONE, color_scheme="dark") as page:
        await _open(page, desk, order_id, READER)
        await expect(page.get_by_text("Your API key lacks the role review.")).to_be_visible()
        await expect(page.get_by_role("button", name="Approve")).to_be_hidden()
        # Somebody else decides: the page follows, to the gateway's refusal and its undoing.
        await desk.review(order_id, approved=True)
        await expect(page.locator(".order-head .state")).to_have_text("failed")
        await expect(page.locator(".money-facts")).to_contain_text("voided")
        charge = page.locator(".lane", has_text="charge").first
        await expect(charge).to_contain_text("refused (injected)")
        await check_access(page)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width == _PHONE["width"]


async def test_an_accepted_order_has_no_row_yet(orders: Orders) -> None:
    order_id = new_id("plain")
    order = OrderInput(payment_id=f"pay-{order_id}", address=Address(**HOME))
    temporal = await Client.connect(orders.fleet.temporal_address)
    # Its first task, which writes the row, comes long after the test.
    workflow = await temporal.start_workflow(
        ORDER_WORKFLOW,
        to_builtins(order),
        id=order_id,
        task_queue=ORDER_TASK_QUEUE,
        start_delay=timedelta(minutes=5),
    )
    try:
        async with browse(viewport=_WIDE) as page:
            await page.goto(f"{orders.fleet.api_url}/board#/orders/{order_id}")
            await expect(page.get_by_text("Accepted; its row is not written yet.")).to_be_visible()
            await expect(page.locator(".order-head .state")).to_have_text("received")
            await expect(page.locator(".facts")).to_contain_text("Temporal")
            await expect(page.locator(".past")).to_be_hidden()
            await check_access(page)
    finally:
        await workflow.terminate()


async def test_a_forgotten_order_shows_its_course_without_its_address(
    orders: Orders, tmp_path: Path
) -> None:
    order_id = await orders.place("plain", address={**HOME, "name": "Zo\u00eb M\u00fcller"})
    await orders.ended(order_id)
    outcome = await Cli(tmp_path, orders.fleet.addresses)("forget", order_id, "--no-wait")
    assert outcome.status == 0, outcome
    await orders.until(order_id, "forgotten")
    async with browse(viewport=_WIDE) as page:
        await page.goto(f"{orders.fleet.api_url}/board#/orders/{order_id}")
        await expect(page.get_by_text("This order is forgotten")).to_be_visible()
        await expect(page.locator(".past .row")).to_contain_text("***, ***")
        await expect(page.locator(".log")).to_contain_text("fulfilled")
        body = page.locator("body")
        await expect(body).not_to_contain_text("M\u00fcller")
        await expect(body).not_to_contain_text(HOME["street"])
        await check_access(page)
