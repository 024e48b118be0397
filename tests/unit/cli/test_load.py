"""What `orderfleet load` counts, and how it repeats refused orders."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.cli import NOWHERE, Cli, Outcome
from tests.support.http_servers import served


@dataclass
class BusyApi:
    """Refuses each order a number of times, then accepts it; accepted orders end at once."""

    refusals: int = 0
    status: int = 429
    reason: str = "busy"
    retry_after: str = "1"
    attempts: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    priorities: set[str | None] = field(default_factory=set)
    url: str = ""

    def place(self, order_id: str) -> tuple[int, dict[str, str], Any]:
        self.attempts[order_id] += 1
        if self.attempts[order_id] <= self.refusals:
            problem = {"status": self.status, "detail": "Later.", "reason": self.reason}
            return self.status, {"Retry-After": self.retry_after}, problem
        self.accepted.append(order_id)
        return 202, {}, {"order_id": order_id, "state": "received"}

    def listing(self) -> Any:
        times = {"created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:04Z"}
        orders = [{"id": name, "state": "fulfilled", **times} for name in self.accepted]
        return {"orders": orders, "next": None}


@pytest.fixture
def api() -> Iterator[BusyApi]:
    busy = BusyApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {}, busy.listing())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            busy.priorities.add(self.headers["priority"])
            self._answer(*busy.place(self.path.split("/")[2]))

        def _answer(self, status: int, headers: dict[str, str], document: Any) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(msgspec.json.encode(document))

        def log_message(self, *args: object) -> None:
            pass

    with served(Handler) as busy.url:
        yield busy


async def _load(api: BusyApi, cwd: Path, *options: str) -> Outcome:
    cli = Cli(cwd, NOWHERE | {"ORDERFLEET_URL": api.url})
    return await cli("load", "--rate", "2", "--seconds", "1", *options)


async def test_refusals_count_by_status_and_reason(api: BusyApi, tmp_path: Path) -> None:
    api.refusals = 1
    outcome = await _load(api, tmp_path)
    assert outcome.status == 1
    words = " ".join(outcome.out.split())
    assert words == "accepted 0 refused: 429 busy 2 ended within 15 s 0.00%"
    assert set(api.attempts.values()) == {1}


async def test_an_order_accepted_in_the_end_is_no_refusal(api: BusyApi, tmp_path: Path) -> None:
    api.refusals, api.reason = 2, "share"
    results = (await _load(api, tmp_path, "--retry-after", "--json")).json
    assert (results["accepted"], results["refused"], results["repeats"]) == (2, {}, 4)
    assert results["ended"] == {"fulfilled": 2}
    # From the moment the order was due, not from its last attempt.
    assert results["accept_seconds"]["p50"] >= 2
    assert set(api.attempts.values()) == {3}
    assert len(set(api.accepted)) == 2


async def test_repeats_are_bounded(api: BusyApi, tmp_path: Path) -> None:
    api.refusals, api.status, api.reason, api.retry_after = 100, 503, "away", "0"
    outcome = await _load(api, tmp_path, "--retry-after", "--json")
    results = Outcome(0, outcome.out, "").json
    assert (outcome.status, results["refused"], results["repeats"]) == (1, {"503 away": 2}, 10)
    assert set(api.attempts.values()) == {6}


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", ""])
async def test_an_answer_that_asks_for_no_wait_is_final(
    api: BusyApi, tmp_path: Path, header: str
) -> None:
    api.refusals, api.reason, api.retry_after = 1, "", header
    outcome = await _load(api, tmp_path, "--retry-after", "--json")
    results = Outcome(0, outcome.out, "").json
    assert (results["accepted"], results["refused"], results["repeats"]) == (0, {"429": 2}, 0)


@pytest.mark.parametrize(("options", "priority"), [((), None), (("--background",), "u=7")])
async def test_background_orders_say_so(
    api: BusyApi, tmp_path: Path, options: tuple[str, ...], priority: str | None
) -> None:
    await _load(api, tmp_path, *options)
    assert api.priorities == {priority}
