"""An installed release: `helm test`, orders through the Service, their books, the logs."""

import asyncio
from collections.abc import Collection, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from temporalio.api.common.v1 import Payloads

from tests.cluster.support.release import NAME, SERVICES, Release
from tests.cluster.support.shop import Shop, balanced, states
from tests.cluster.support.steps import Steps
from tests.e2e.support.orders import HOME, types
from tests.support.cli import NOWHERE, Cli

pytestmark = pytest.mark.timeout(1800)

# The review takes 2 s, and the charge follows: some orders are charged before the cancel.
_CANCELLED_AFTER = (0.0, 2.0, 2.05, 2.1, 2.15, 2.2, 2.3)
# How an order may end after each answer to its cancel. 202: no worker answered within 2 s, and the
# cancel waits for one.
_CANCEL_ENDS: Final[Mapping[int, Collection[str]]] = {
    HTTPStatus.OK: {"cancelled"},
    HTTPStatus.CONFLICT: {"fulfilled"},
    HTTPStatus.ACCEPTED: {"cancelled", "fulfilled"},
}


def test_helm_test(release: Release, steps: Steps) -> None:
    with steps.step("helm test"):
        log = release.test()
        assert "fulfilled" in log, log


async def test_orders_and_their_books(release: Release, steps: Steps) -> None:
    with steps.step("orders through kubectl port-forward") as step:
        async with release.shop() as shop, release.books() as pool:
            stranger = await shop.http.get("/orders", headers={"authorization": "Bearer wrong"})
            assert stranger.status_code == HTTPStatus.UNAUTHORIZED
            placed = await shop.place_apart("plain", 8, 0.2)
            cancelled = [await _cancel(shop, seconds) for seconds in _CANCELLED_AFTER]
            for order_id in placed:
                order = await shop.ended(order_id)
                assert order["state"] == "fulfilled", types(order)
            for order_id, answer in cancelled:
                order = await shop.ended(order_id)
                assert order["state"] in _CANCEL_ENDS[answer.status_code], types(order)
            everyone = [*placed, *(order_id for order_id, _ in cancelled)]
            # The books include the cancelled orders: captured payments are refunded.
            books = await balanced(pool, everyone)
            ended = await states(pool, everyone)
            assert ended["cancelled"]
            step.saw(states=ended, captured=books.captured, refunded=books.refunded)


async def _cancel(shop: Shop, seconds: float) -> tuple[str, httpx.Response]:
    order_id = await shop.place("cancelled")
    await asyncio.sleep(seconds)
    answer = await shop.cancel(order_id)
    assert answer.status_code in _CANCEL_ENDS, answer.text
    return order_id, answer


async def test_operators_see_encrypted_orders(release: Release, steps: Steps) -> None:
    """As Temporal's UI does with the key of NOTES.txt, right after the installation."""
    keys = release.namespace.secret(f"{NAME}-api-keys")
    with steps.step("an order in clear by the codec, with the operator's key"):
        async with release.shop() as shop, release.temporal() as client:
            order_id = await shop.place("operated")
            history = await client.get_workflow_handle(order_id).fetch_history()
            stored = history.events[0].workflow_execution_started_event_attributes.input
            assert HOME["street"] not in str(stored)
            statuses, shown = [], ""
            for key in (keys["key"], keys["operator-key"]):
                answer = await shop.http.post(
                    "/codec/decode",
                    json=MessageToDict(stored),
                    headers={"authorization": f"Bearer {key}"},
                )
                statuses.append(answer.status_code)
                shown = str(ParseDict(answer.json(), Payloads(), ignore_unknown_fields=True))
            assert statuses == [HTTPStatus.FORBIDDEN, HTTPStatus.OK]
            assert HOME["street"] in shown


async def test_logs(release: Release, steps: Steps, tmp_path: Path) -> None:
    kubeconfig = {"KUBECONFIG": str(release.namespace.cluster.kubeconfig)}
    cli = Cli(tmp_path, {**NOWHERE, **kubeconfig})
    with steps.step("orderfleet logs --kubernetes") as step:
        for service in SERVICES:
            command = ("logs", "--service", service, "--kubernetes", "--json")
            logs = await cli(*command, "--namespace", release.namespace.name, "--lines", "50")
            assert logs.status == 0, logs
            services = {line["service"] for line in logs.json_lines}
            assert services == {service}, logs.out
            step.saw(**{service: f"{len(logs.json_lines)} lines"})
