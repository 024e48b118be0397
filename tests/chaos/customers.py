"""Plays the scripts: sends every call, repeats what has no answer, and records all of it."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import httpx

from tests.chaos.recording import (
    CANCEL,
    CHANGES,
    LIST,
    MOVE,
    PLACE,
    REVIEW,
    SHOW,
    STATUS,
    Call,
    Streamed,
)
from tests.chaos.scripts import LINKS, OVERVIEW, STREAM, Script, Step

_PATHS: Final = {
    PLACE: "/orders/{}/start",
    CANCEL: "/orders/{}/signals/cancel",
    MOVE: "/orders/{}/signals/update-address",
    REVIEW: "/orders/{}/review",
    SHOW: "/orders/{}",
    STATUS: "/orders/{}/status",
    LINKS: "/orders/{}/links",
    LIST: "/orders",
    OVERVIEW: "/overview",
}
_AGAIN: Final = {0, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
# A refused order is repeated for longer than an outage lasts, a change for as long as it matters.
_PLACE_SECONDS: Final = 60.0
_CHANGE_SECONDS: Final = 20.0
_STREAM_SECONDS: Final = 45.0
_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 6.0
_FEED_PAUSE_SECONDS: Final = 0.5


class Customers:
    """All customers of a run, over one client."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.calls: list[Call] = []
        self.streams: list[Streamed] = []
        self._http = http

    async def play(self, script: Script) -> None:
        """Place an order and do the rest of its script, from its acceptance on or from its call."""
        place = Step(after=0, operation=PLACE, key=script.key, body=script.body)
        placing = asyncio.create_task(self._until_answered(script.order_id, place, _PLACE_SECONDS))
        if not script.eager:
            await placing
        began = time.monotonic()

        async def later(step: Step) -> None:
            await asyncio.sleep(max(began + step.after - time.monotonic(), 0))
            await self._take(script.order_id, step)

        await asyncio.gather(placing, *(later(step) for step in script.steps))

    async def _take(self, order_id: str, step: Step) -> None:
        if step.operation == STREAM:
            await self._stream(order_id)
        elif step.operation in {*CHANGES, PLACE}:
            await asyncio.gather(
                *(self._until_answered(order_id, step, _CHANGE_SECONDS) for _ in range(step.copies))
            )
        else:
            await self.send(order_id, step)

    async def _until_answered(self, order_id: str, step: Step, seconds: float) -> None:
        until, pause = time.monotonic() + seconds, _PAUSE_SECONDS
        while (call := await self.send(order_id, step)).status in _AGAIN:
            if time.monotonic() > until:
                return
            if not call.status and step.patience < 1:
                # The client is gone; the script has its repeat.
                return
            await asyncio.sleep(max(pause, float(call.retry_after or 0)))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def send(self, order_id: str, step: Step) -> Call:
        """Send a call once, record it, and return it; its status is 0 without an answer."""
        path = "/orders" if step.operation == PLACE and step.key else _PATHS[step.operation]
        headers = {"Idempotency-Key": step.key} if step.key else {}
        sent = time.time()
        try:
            async with asyncio.timeout(step.patience):
                answer = await self._http.request(
                    "POST" if step.operation in {*CHANGES, PLACE} else "GET",
                    path.format(order_id),
                    json=step.body,
                    headers=headers,
                )
        except (httpx.TransportError, TimeoutError) as error:
            return self._record(order_id, step, sent, error=type(error).__name__)
        return self._record(order_id, step, sent, answer)

    def _record(
        self,
        order_id: str,
        step: Step,
        sent: float,
        answer: httpx.Response | None = None,
        error: str = "",
    ) -> Call:
        said: Any = None
        if answer is not None:
            try:
                said = answer.json()
            except ValueError:
                said = answer.text[:1000]
        if step.operation == LIST and isinstance(said, dict):
            self._record_list(sent, said)
            said = None
        if step.operation == OVERVIEW:
            said = None
        headers = answer.headers if answer is not None else {}
        call = Call(
            order_id=order_id,
            operation=step.operation,
            key=step.key,
            body=step.body,
            sent=sent,
            answered=time.time(),
            status=answer.status_code if answer is not None else 0,
            answer=said,
            media_type=headers.get("content-type", "").partition(";")[0],
            retry_after=headers.get("retry-after", ""),
            error=error,
        )
        self.calls.append(call)
        return call

    def _record_list(self, sent: float, page: dict[str, Any]) -> None:
        """Record what a page of the listing says, as a read of each of its orders."""
        for order in page.get("orders", []):
            self.calls.append(
                Call(
                    order_id=order["id"],
                    operation=LIST,
                    sent=sent,
                    answered=time.time(),
                    status=HTTPStatus.OK,
                    answer=order,
                )
            )

    async def _stream(self, order_id: str) -> None:
        """Follow the order's event stream, over every lost connection, until it is complete."""
        events: list[tuple[int, str]] = []
        until = time.monotonic() + _STREAM_SECONDS
        complete = False
        while not complete and time.monotonic() < until:
            with suppress(httpx.TransportError, TimeoutError):
                async with asyncio.timeout(until - time.monotonic()):
                    complete = await self._listen(order_id, events)
            if not complete:
                await asyncio.sleep(0.5)
        self.streams.append(Streamed(order_id=order_id, events=events, complete=complete))

    async def _listen(self, order_id: str, events: list[tuple[int, str]]) -> bool:
        last = str(events[-1][0]) if events else "0"
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
        path = f"/orders/{order_id}/events"
        async with self._http.stream("GET", path, headers=headers, timeout=30) as answer:
            if answer.status_code == HTTPStatus.NO_CONTENT:
                return True
            if answer.status_code != HTTPStatus.OK:
                return False
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    event = json.loads(line.removeprefix("data: "))
                    events.append((event["number"], event["type"]))
        return False


async def follow_feed(
    http: httpx.AsyncClient, feed: list[tuple[str, int]], stopped: Callable[[], bool]
) -> None:
    """Read the feed by page from its begin, until it is told to stop and the feed has no more."""
    cursor = "0"
    while True:
        was_stopped, page = stopped(), None
        with suppress(httpx.TransportError):
            answer = await http.get("/events", params={"after": cursor, "limit": "100"})
            if answer.status_code == HTTPStatus.OK:
                page = answer.json()
        if page is not None:
            cursor = page["cursor"]
            feed += [(each["subject"], each["data"]["sequence"]) for each in page["events"]]
            if was_stopped and not page["events"]:
                return
        if not page or not page["events"]:
            await asyncio.sleep(_FEED_PAUSE_SECONDS)
