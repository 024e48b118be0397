"""Orders through Temporal's own command line: names and JSON are the contract, not our client."""

import asyncio
import subprocess
from asyncio.subprocess import PIPE
from typing import Any

import msgspec
import pytest

from orderfleet.domain.orders import OrderState
from orderfleet_cli.local.processes import environment, executable
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, new_id

_ADDRESS = {"street": "9 CLI Street", "city": "Town"}


async def _run(fleet: Fleet, *words: str) -> str:
    child = await asyncio.create_subprocess_exec(
        executable("temporal"),
        "workflow",
        *words,
        *("--address", fleet.address, "--output", "json"),
        stdout=PIPE,
        stderr=PIPE,
        env=environment(),
    )
    out, err = await asyncio.wait_for(child.communicate(), 60)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, words, out, err.decode())
    return out.decode()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def _start(fleet: Fleet, order_id: str, **more: Any) -> None:
    order = {
        "payment_id": f"pay-{order_id}",
        "address": {"street": "1 Home Street", "city": "Hometown"},
        "deadline_seconds": 60,
    }
    await _run(
        fleet,
        *("start", "--type", "OrderWorkflow", "--workflow-id", order_id),
        *("--task-queue", fleet.common()["order_task_queue"]),
        *("--execution-timeout", "60s", "--input", _json(order | more)),
    )


async def test_an_order_is_started_asked_changed_and_fulfilled(fleet: Fleet) -> None:
    order_id = new_id()
    async with fleet.working():
        await _start(fleet, order_id, review_seconds=60)
        await fleet.reached(order_id, OrderState.IN_REVIEW)
        asked = await _run(fleet, "query", "--workflow-id", order_id, "--type", "status")
        found = msgspec.json.decode(asked)["queryResult"][0]
        assert (found["state"], found["step"]) == ("in_review", "review")
        assert found["steps"]["receive"]["attempts"] == 1
        assert 0 < found["seconds_left"] <= 60
        for name, change in (
            ("update_address", {"address": _ADDRESS, "change_id": "cli-1"}),
            ("review", {"approved": True, "reviewer": "someone"}),
        ):
            await _run(
                fleet,
                *("update", "execute", "--workflow-id", order_id),
                *("--name", name, "--input", _json(change)),
            )
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    found_books = await books(fleet.pool, order_id)
    assert found_books.taken[0]["address_json"] == _ADDRESS
    reviewed = next(one for one in found_books.events if one["type"] == "reviewed")
    assert reviewed["payload_json"] == {"approved": True, "by": "someone"}


@pytest.mark.parametrize("given", [None, "{}", '{"reason": "typed by hand"}'])
async def test_an_order_is_cancelled_by_a_signal_with_and_without_input(
    fleet: Fleet, given: str | None
) -> None:
    order_id = new_id()
    async with fleet.order_worker():
        await _start(fleet, order_id, review_seconds=60)
        signal = ("signal", "--workflow-id", order_id, "--name", "CancelOrder")
        await _run(fleet, *signal, *(() if given is None else ("--input", given)))
        result = await fleet.result(order_id)
    reason = "typed by hand" if given and "reason" in given else "cancelled"
    assert (result.state, result.reason) == (OrderState.CANCELLED, reason)


async def test_the_address_is_changed_by_a_signal_and_a_bad_one_is_recorded(
    fleet: Fleet,
) -> None:
    order_id = new_id()
    async with fleet.working():
        await _start(fleet, order_id, review_seconds=2)
        for change in ({"address": {"street": "no city"}}, {"address": _ADDRESS}):
            await _run(
                fleet,
                *("signal", "--workflow-id", order_id, "--name", "UpdateAddress"),
                *("--input", _json(change)),
            )
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    found = await books(fleet.pool, order_id)
    assert found.taken[0]["address_json"] == _ADDRESS
    refused = [one for one in found.events if one["type"] == "address_update_refused"]
    assert len(refused) == 1
    assert "city" in refused[0]["payload_json"]["reason"]


async def test_malformed_json_fails_at_once_with_the_reason(fleet: Fleet) -> None:
    """A plain error would be retried for ever, and the caller would wait for it."""
    order_id, other = new_id(), new_id()
    async with fleet.order_worker():
        with pytest.raises(subprocess.CalledProcessError) as raised:
            await _run(
                fleet,
                *("execute", "--type", "OrderWorkflow", "--workflow-id", order_id),
                *("--task-queue", fleet.common()["order_task_queue"]),
                *("--input", _json({"payment_id": "p", "address": {"street": "no city"}})),
            )
        told = raised.value.stderr + raised.value.stdout.decode()
        assert "missing required field `city`" in told
        assert await fleet.state(order_id) is None

        await _start(fleet, other, review_seconds=60)
        with pytest.raises(subprocess.CalledProcessError) as raised:
            await _run(
                fleet,
                *("update", "execute", "--workflow-id", other, "--name", "update_address"),
                *("--input", _json({"address": {"street": 1}})),
            )
        assert "Expected `str`, got `int`" in raised.value.stderr
        cancelled = ("update", "execute", "--workflow-id", other, "--name", "cancel")
        await _run(fleet, *cancelled, "--input", "{}")
        assert (await fleet.result(other)).state is OrderState.CANCELLED
