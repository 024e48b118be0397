"""How the command line shows responses of the API, and finds a fleet that runs here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orderfleet_cli.env_file import load_environment
from orderfleet_cli.fleet_addresses import write_addresses
from orderfleet_cli.load.results import Results
from tests.support.cli import NOWHERE, Cli
from tests.support.http_servers import served


@dataclass
class FakeApi:
    """Answers every request alike, and records the requests."""

    status: int = 200
    answer: Any = None
    requests: list[tuple[str, str | None, Any]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            document = msgspec.json.decode(body) if body else None
            fake.requests.append((self.path, self.headers.get("authorization"), document))
            self.send_response(fake.status)
            self.end_headers()
            self.wfile.write(msgspec.json.encode(fake.answer))

        def log_message(self, *args: object) -> None:
            pass

    with served(Handler) as fake.url:
        yield fake


@pytest.mark.parametrize(
    ("status", "code"), [(401, 2), (404, 1), (409, 1), (422, 2), (429, 3), (500, 1), (503, 3)]
)
async def test_a_problem_is_its_detail(
    api: FakeApi, tmp_path: Path, status: int, code: int
) -> None:
    api.status = status
    api.answer = {"title": "No", "status": status, "detail": "because of it"}
    outcome = await Cli(tmp_path, NOWHERE | {"ORDERFLEET_URL": api.url})("show", "order-1")
    assert (outcome.status, outcome.error) == (code, "because of it")


async def test_an_order_and_the_key_as_they_are_sent(api: FakeApi, tmp_path: Path) -> None:
    api.answer = {"order_id": "order-1", "state": "received"}
    cli = Cli(tmp_path, NOWHERE | {"ORDERFLEET_URL": api.url, "ORDERFLEET_API_KEY": "k1"})
    outcome = await cli(
        *("start-workflow", "order-1", "pay-1", "--item", "A", "--item", "B:2:1.50"),
        *("--postal-code", "12345"),
    )
    assert outcome.out == "order-1: accepted, received\n"
    address = {"street": "1 Main St", "city": "Springfield", "postal_code": "12345"}
    items = [{"sku": "A"}, {"sku": "B", "quantity": 2, "price": "1.50"}]
    body = {"payment_id": "pay-1", "currency": "USD", "address": address, "items": items}
    assert api.requests == [("/orders/order-1/start", "Bearer k1", body)]


async def test_a_queued_change(api: FakeApi, tmp_path: Path) -> None:
    api.status = 202
    api.answer = {
        "order_id": "order-1",
        "change_id": "1",
        "outcome": "queued",
        "state": None,
    }
    outcome = await Cli(tmp_path, NOWHERE | {"ORDERFLEET_URL": api.url})("cancel", "order-1")
    assert (outcome.status, outcome.out) == (
        0,
        "order-1: queued: no worker answered in time; the next one applies the change\n",
    )


async def test_the_default_is_the_fleet_that_runs_here(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / ".data").mkdir()
    write_addresses(tmp_path / ".data", {"ORDERFLEET_URL": api.url})
    (tmp_path / ".env").write_text("ORDERFLEET_API_KEY=k2\nORDERFLEET_URL=http://127.0.0.1:1\n")
    api.answer = {"orders": [], "next": None}
    outcome = await Cli(tmp_path, {})("list", "--json")
    assert outcome.json == api.answer
    assert api.requests[0][1] == "Bearer k2"


def test_an_address_in_the_environment_means_another_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"TEMPORAL_ADDRESS": "there:7233"}
    monkeypatch.setattr("orderfleet_cli.env_file.os.environ", environment)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".data").mkdir()
    write_addresses(tmp_path / ".data", {"ORDERFLEET_URL": "http://127.0.0.1:1"})
    load_environment()
    assert environment == {"TEMPORAL_ADDRESS": "there:7233"}


def test_the_results_of_a_load() -> None:
    results = Results(deadline=15)
    for number in range(100):
        results.accept(str(number), number / 100)
    results.refuse("503")
    for number in range(99):
        order = {
            "id": str(number),
            "state": "fulfilled" if number else "timed_out",
            "created_at": "2026-01-31T12:00:00Z",
        }
        results.end(order, "2026-01-31T12:00:04Z" if number else "2026-01-31T12:00:16.5Z")
    document = results.document()
    assert (document["accepted"], document["refused"], document["not_ended"]) == (
        100,
        {"503": 1},
        1,
    )
    assert document["ended"] == {"fulfilled": 98, "timed_out": 1}
    assert document["accept_seconds"] == {"p50": 0.49, "p95": 0.94, "p99": 0.98}
    assert document["end_seconds"] == {"p50": 4.0, "p95": 4.0, "p99": 16.5}
    assert document["share_in_time"] == 0.98
    assert not results.passed


def test_a_load_without_orders_did_not_pass() -> None:
    results = Results(deadline=15)
    assert not results.passed
    assert results.document()["accept_seconds"] == {}
    assert results.table().row_count > 0
