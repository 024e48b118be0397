"""The HTTP gateways against a real server on loopback."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import pytest

from orderfleet.domain.orders import Address
from orderfleet.gateways import http
from orderfleet.gateways.http import HTTPCarrier, HTTPPaymentGateway
from orderfleet.gateways.protocols import (
    Charge,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnknownError,
    Shipment,
)
from tests.support.http_servers import served

CHARGE = Charge(key="pay-1", order_id="o-1", amount="1.50", currency="USD")
SHIPMENT = Shipment(key="o-1/2", order_id="o-1", address=Address(street="s", city="c"))
Answer = tuple[int, dict[str, Any]]
Actions = dict[tuple[str, ...], Callable[[str], Answer]]
ADDRESS = {"street": "s", "city": "c"}


class Remote:
    """A gateway and carrier that keeps the contract, or returns a configured answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.charges: dict[str, str] = {}
        self.shipments: dict[str, str] = {}
        self.answer: tuple[int, bytes] | None = None
        self.pause = 0.0

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append((method, path))
        values: dict[str, Any] = msgspec.json.decode(body) if body else {}
        self.bodies.append(values)
        time.sleep(self.pause)
        if self.answer is not None:
            return self.answer
        kind, *rest = (unquote(part) for part in path.strip("/").split("/"))
        key = rest[0] if rest else values["key"]
        do = (self._charge if kind == "charges" else self._ship)[method, *rest[1:]]
        status, answer = do(key)
        return status, msgspec.json.encode(answer)

    @property
    def _charge(self) -> Actions:
        def charge(key: str) -> Answer:
            status = self.charges.setdefault(key, "captured")
            return 200 if status == "captured" else 409, {"status": status}

        def void(key: str) -> Answer:
            return 200, {"status": self.charges.setdefault(key, "voided")}

        def refund(key: str) -> Answer:
            self.charges[key] = "refunded"
            return 200, {"status": "refunded"}

        def show(key: str) -> Answer:
            return (200, {"status": self.charges[key]}) if key in self.charges else (404, {})

        return {
            ("POST",): charge,
            ("POST", "void"): void,
            ("POST", "refund"): refund,
            ("GET",): show,
        }

    @property
    def _ship(self) -> Actions:
        def take(key: str) -> Answer:
            return 201, {"tracking": self.shipments.setdefault(key, f"T-{key}")}

        def recall(key: str) -> Answer:
            return 200, {"recalled": self.shipments.pop(key, None) is not None}

        def show(key: str) -> Answer:
            return (200, {"tracking": self.shipments[key]}) if key in self.shipments else (404, {})

        return {("POST",): take, ("POST", "recall"): recall, ("GET",): show}


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def url(remote: Remote) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            status, body = remote.handle(self.command, self.path, self.rfile.read(length))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            # A client that gave up is not there for its answer.
            with suppress(BrokenPipeError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with served(Handler) as address:
        yield f"{address}/"


async def test_a_payment_from_charge_to_refund(remote: Remote, url: str) -> None:
    gateway = HTTPPaymentGateway(url)
    assert await gateway.lookup("pay-1") is ChargeStatus.NONE
    await gateway.charge(CHARGE)
    await gateway.charge(CHARGE)
    assert await gateway.lookup("pay-1") is ChargeStatus.CAPTURED
    assert await gateway.void(CHARGE) is ChargeStatus.CAPTURED
    assert await gateway.refund(CHARGE) is ChargeStatus.REFUNDED
    assert remote.asked == [
        ("GET", "/charges/pay-1"),
        ("POST", "/charges"),
        ("POST", "/charges"),
        ("GET", "/charges/pay-1"),
        ("POST", "/charges/pay-1/void"),
        ("POST", "/charges/pay-1/refund"),
    ]
    sent = {"key": "pay-1", "order_id": "o-1", "amount": "1.50", "currency": "USD"}
    assert [body for body in remote.bodies if body] == [sent] * 4


@pytest.mark.parametrize(
    ("answer", "replayed"),
    [
        (b'{"status": "captured", "replayed": true}', True),
        (b'{"status": "captured", "replayed": false}', False),
        (b'{"status": "captured", "replayed": "no"}', False),
        (b'{"status": "captured"}', False),
    ],
)
async def test_a_charge_says_whether_it_was_done_before_if_the_gateway_does(
    remote: Remote, url: str, answer: bytes, replayed: bool
) -> None:
    remote.answer = (200, answer)
    assert await HTTPPaymentGateway(url).charge(CHARGE) is replayed


async def test_a_voided_key_is_a_definite_no(url: str) -> None:
    gateway = HTTPPaymentGateway(url)
    assert await gateway.void(CHARGE) is ChargeStatus.VOIDED
    with pytest.raises(GatewayRefusedError):
        await gateway.charge(CHARGE)


async def test_a_package_from_dispatch_to_recall(remote: Remote, url: str) -> None:
    carrier = HTTPCarrier(url)
    assert await carrier.lookup(SHIPMENT.key) is None
    assert await carrier.recall(SHIPMENT) is False
    assert await carrier.dispatch(SHIPMENT) == "T-o-1/2"
    assert await carrier.lookup(SHIPMENT.key) == "T-o-1/2"
    assert await carrier.recall(SHIPMENT) is True
    # The key is one segment of the path, whatever it contains.
    assert ("GET", "/shipments/o-1%2F2") in remote.asked
    assert remote.bodies[2] == {"key": "o-1/2", "order_id": "o-1", "address": ADDRESS}


class Gateways(NamedTuple):
    payment: HTTPPaymentGateway
    carrier: HTTPCarrier


Call = Callable[[Gateways], Awaitable[object]]
MONEY: dict[str, Call] = {
    "charge": lambda to: to.payment.charge(CHARGE),
    "void": lambda to: to.payment.void(CHARGE),
    "refund": lambda to: to.payment.refund(CHARGE),
}
PACKAGES: dict[str, Call] = {
    "dispatch": lambda to: to.carrier.dispatch(SHIPMENT),
    "recall": lambda to: to.carrier.recall(SHIPMENT),
}
QUESTIONS: dict[str, Call] = {
    "charge?": lambda to: to.payment.lookup("pay-1"),
    "shipment?": lambda to: to.carrier.lookup("o-1/2"),
}


@pytest.fixture
def gateways(url: str) -> Gateways:
    return Gateways(HTTPPaymentGateway(url), HTTPCarrier(url))


async def each(calls: dict[str, Call], to: Gateways, outcome: type[Exception]) -> None:
    for name, call in calls.items():
        try:
            result = await call(to)
        except outcome:
            continue
        pytest.fail(f"{name} took it for {result!r}")


@pytest.mark.parametrize("status", [409, 422])
async def test_a_definite_no(remote: Remote, gateways: Gateways, status: int) -> None:
    remote.answer = status, b'{"detail": "no"}'
    await each(MONEY | PACKAGES | QUESTIONS, gateways, GatewayRefusedError)


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}"),
        (503, b""),
        (429, b"{}"),
        (400, b"{}"),
        (302, b"{}"),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"status": "\xff", "tracking": "\xff", "recalled": "\xff"}'),
    ],
)
async def test_anything_else_leaves_it_unknown(
    remote: Remote, gateways: Gateways, answer: tuple[int, bytes]
) -> None:
    remote.answer = answer
    await each(MONEY | PACKAGES | QUESTIONS, gateways, GatewayUnknownError)


@pytest.mark.parametrize("body", [b"{}", b'{"status": "maybe", "tracking": "", "recalled": "yes"}'])
async def test_a_success_that_does_not_say_what_is_unknown(
    remote: Remote, gateways: Gateways, body: bytes
) -> None:
    remote.answer = 200, body
    await each(MONEY | PACKAGES | QUESTIONS, gateways, GatewayUnknownError)


async def test_404_is_an_answer_to_a_question_only(remote: Remote, gateways: Gateways) -> None:
    remote.answer = 404, b"{}"
    await each(MONEY | PACKAGES, gateways, GatewayUnknownError)
    assert await gateways.payment.lookup("pay-1") is ChargeStatus.NONE
    assert await gateways.carrier.lookup("o-1/2") is None


async def test_a_list_of_charges(remote: Remote, url: str) -> None:
    since = datetime(2026, 1, 31, 12, tzinfo=UTC)
    charge = msgspec.to_builtins(CHARGE) | {
        "status": "captured",
        "created_at": "2026-01-31T12:00:01Z",
    }
    remote.answer = 200, msgspec.json.encode({"charges": [charge], "next": "a b"})
    async with HTTPPaymentGateway(url) as gateway:
        page = await gateway.list_charges(since, "a&b")
        assert page is not None
        assert page.next == "a b"
        assert page.charges[0].key == CHARGE.key
        assert page.charges[0].status is ChargeStatus.CAPTURED
        assert page.charges[0].created_at == since + timedelta(seconds=1)
        remote.answer = 200, b'{"charges": [{"key": 1}]}'
        with pytest.raises(GatewayUnknownError, match="no valid list of charges"):
            await gateway.list_charges(since, "")
    assert remote.asked[0] == ("GET", "/charges?since=2026-01-31T12%3A00%3A00Z&after=a%26b")


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_gateway_without_a_list(remote: Remote, url: str, status: int) -> None:
    remote.answer = status, b""
    async with HTTPPaymentGateway(url) as gateway:
        assert await gateway.list_charges(datetime.now(UTC), "") is None


async def test_no_answer_in_time_is_unknown(
    remote: Remote, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "GATEWAY_CALL_SECONDS", 0.1)
    remote.pause = 0.3
    gateways = Gateways(HTTPPaymentGateway(url), HTTPCarrier(url))
    await each(MONEY | PACKAGES | QUESTIONS, gateways, GatewayUnknownError)


async def test_a_reason_does_not_repeat_the_address(remote: Remote, url: str) -> None:
    address = Address(street="1 Main St", city="Bath", name="Ann", country="GB")
    remote.answer = (422, b'{"reason": "GB: no \\"1 MAIN ST\\" in Bath, dear Ann"}')
    with pytest.raises(GatewayRefusedError) as refused:
        await HTTPCarrier(url).dispatch(Shipment(key="o-1/2", order_id="o-1", address=address))
    reason = r'{"reason": "GB: no \"***\" in ***, dear ***"}'
    assert str(refused.value) == f"POST /shipments: 422 {reason}"


async def test_nobody_there_is_unknown() -> None:
    nowhere = "http://127.0.0.1:1"
    gateways = Gateways(HTTPPaymentGateway(nowhere), HTTPCarrier(nowhere))
    await each(MONEY | PACKAGES | QUESTIONS, gateways, GatewayUnknownError)
