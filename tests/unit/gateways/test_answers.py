"""Whatever a gateway answers: it costs little, is sanitized, and a refusal stays a refusal."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from orderfleet.domain.orders import Address
from orderfleet.gateways import http
from orderfleet.gateways.http import HTTPCarrier, HTTPPaymentGateway
from orderfleet.gateways.protocols import (
    Charge,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnknownError,
    Shipment,
)
from orderfleet.gateways.sanitized import SanitizedCarrier, SanitizedPaymentGateway

CHARGE = Charge(key="pay-1", order_id="o-1", amount="1.50", currency="USD")
HOME = Address(street="Königstraße 12", city="Köln", name="Jörg Li", country="DE")
SHIPMENT = Shipment(key="o-1/1", order_id="o-1", address=HOME)
CAPTURED = b'{"status": "captured"}'
TAKEN = b'{"tracking": "T-1"}'
Send = Callable[[asyncio.StreamWriter], Any]


@asynccontextmanager
async def saying(send: Send) -> AsyncIterator[str]:
    """Serve every request by `send`, on bare TCP; yield the URL."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        ends = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with suppress(*ends):
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = dict(line.split(b": ") for line in head.lower().splitlines()[1:-1])
                await reader.readexactly(int(lines.get(b"content-length", b"0")))
                await send(writer)
                await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for task in serving:
        assert task is not None
        task.cancel()
    await asyncio.gather(*(task for task in serving if task is not None))


def answer(body: bytes, status: str = "200 OK", **headers: str) -> Send:
    lines = {"content-length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    return send


def endless(piece: bytes, *, pause: float = 0.0, status: str = "200 OK") -> Send:
    """Send a body that has no end."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        while not writer.is_closing():
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            await asyncio.sleep(pause)

    return send


@asynccontextmanager
async def paying(url: str) -> AsyncIterator[SanitizedPaymentGateway]:
    gateway = HTTPPaymentGateway(url)
    async with gateway:
        yield SanitizedPaymentGateway(gateway)


@asynccontextmanager
async def carrying(url: str) -> AsyncIterator[SanitizedCarrier]:
    carrier = HTTPCarrier(url)
    async with carrier:
        yield SanitizedCarrier(carrier)


async def charged(url: str) -> bool:
    async with paying(url) as gateway:
        return await gateway.charge(CHARGE)


@pytest.mark.parametrize(
    ("packed", "packing"),
    [
        pytest.param(gzip.compress(CAPTURED), "gzip", id="gzip"),
        (zlib.compress(CAPTURED), "deflate"),
        (CAPTURED, "identity"),
    ],
)
async def test_a_packed_answer_is_understood(packed: bytes, packing: str) -> None:
    async with saying(answer(packed, content_encoding=packing)) as url:
        assert await charged(url) is False


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(answer(b'{"status": "captured", "x": "%s"}' % (b"x" * 70_000)), id="long"),
        pytest.param(endless(b"x" * 65_536), id="endless"),
        pytest.param(
            answer(gzip.compress(b"x" * 300_000_000, 1), content_encoding="gzip"), id="bomb"
        ),
        pytest.param(
            answer(gzip.compress(gzip.compress(b"x" * 9_000_000)), content_encoding="gzip, gzip"),
            id="twice packed",
        ),
        pytest.param(answer(b"not packed", content_encoding="gzip"), id="not packed"),
        pytest.param(answer(CAPTURED, content_encoding="br"), id="unknown packing"),
        pytest.param(answer(b"[" * 60_000), id="deep"),
        pytest.param(answer(b'{"a":' * 12_000), id="deep objects"),
        pytest.param(answer(b'{"status": "captured", "status": "voided"}'), id="twice"),
        pytest.param(answer(b'{"status": ["captured"]}'), id="list"),
        pytest.param(answer(b'{"status": {"status": "captured"}}'), id="object"),
        pytest.param(answer(b'{"status": null}'), id="null"),
        pytest.param(answer(b'{"status": 1%s}' % (b"0" * 60_000)), id="long number"),
        pytest.param(answer(b'{"status": "captured\xff"}'), id="no UTF-8"),
        pytest.param(answer(b"", "204 No Content"), id="nothing"),
        pytest.param(
            answer(CAPTURED, **{f"x-{n}": "y" * 1000 for n in range(200)}), id="header flood"
        ),
        pytest.param(
            answer(b"", "307 Temporary Redirect", location="http://127.0.0.1:1/elsewhere"),
            id="redirect",
        ),
        pytest.param(answer(b"HTTP?", "abc"), id="garbage"),
    ],
)
async def test_an_answer_that_cannot_be_read_leaves_it_unknown_and_costs_little(send: Send) -> None:
    async with saying(send) as url:
        tracemalloc.start()
        try:
            with pytest.raises(GatewayUnknownError) as raised:
                await charged(url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8_000_000
    assert len(str(raised.value)) <= 300
    assert "elsewhere" not in str(raised.value)


async def test_an_answer_that_drips_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "GATEWAY_CALL_SECONDS", 0.4)
    async with saying(endless(b" ", pause=0.05)) as url:
        # It drips without an end.
        async with asyncio.timeout(20):
            with pytest.raises(GatewayUnknownError, match="timed out"):
                await charged(url)


@pytest.mark.parametrize("status", ["409 Conflict", "422 Unprocessable Entity"])
@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda status: answer(b"no \x00money\x1b[31m\r\n", status), id="NUL"),
        pytest.param(lambda status: answer("no \u202emoney".encode(), status), id="bidi"),
        pytest.param(lambda status: answer(b"\xff\xfe\xfd", status), id="no UTF-8"),
        pytest.param(lambda status: answer("no money".encode("utf-16"), status), id="UTF-16"),
        pytest.param(lambda status: endless(b"x" * 65_536, status=status), id="endless"),
        pytest.param(lambda status: endless(b"x", pause=0.05, status=status), id="drips"),
        pytest.param(
            lambda status: answer(
                gzip.compress(b"x" * 90_000_000, 1), status, content_encoding="gzip"
            ),
            id="bomb",
        ),
        pytest.param(lambda status: answer(b"junk", status, content_encoding="gzip"), id="junk"),
    ],
)
async def test_a_definite_no_stays_one_whatever_its_reason(
    send: Callable[[str], Send], status: str
) -> None:
    async with saying(send(status)) as url:
        with pytest.raises(GatewayRefusedError) as raised:
            await charged(url)
    message = str(raised.value)
    assert message.startswith(f"POST /charges: {status[:3]}")
    assert message.isprintable()
    assert len(message.encode()) <= 300


@pytest.mark.parametrize(
    ("answered", "tracking"),
    [
        ("T-1", "T-1"),
        ("T\x00-1\n", "T -1"),
        ("\u202eT-1\u200b", "T-1"),
        ("T" * 50_000, "T" * 200),
        ("é" * 50_00, "é" * 100),
        ("\ud800T-1", "T-1"),
        ("50%25-1", "50%25-1"),
        ("DE-1-LI", "DE-1-LI"),
        ("to Königstraße 12, K%C3%B6ln", "to ***, ***"),
    ],
)
async def test_a_tracking_number_is_cleaned_and_the_package_is_not_lost(
    answered: str, tracking: str
) -> None:
    body = json.dumps({"tracking": answered}).encode()
    async with saying(answer(body)) as url, carrying(url) as carrier:
        assert await carrier.dispatch(SHIPMENT) == tracking
        assert await carrier.lookup(SHIPMENT) == tracking


@pytest.mark.parametrize("answered", ["", "\x00\n", "\u200b", 7, None, ["T-1"]])
async def test_no_tracking_number_is_none(answered: object) -> None:
    body = json.dumps({"tracking": answered}).encode()
    async with saying(answer(body)) as url, carrying(url) as carrier:
        with pytest.raises(GatewayUnknownError):
            await carrier.dispatch(SHIPMENT)


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        ("429 Too Many Requests", "2", 2.0),
        ("503 Service Unavailable", "0", 0.0),
        ("503 Service Unavailable", "99999999999999999999", 3600.0),
        ("503 Service Unavailable", "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("503 Service Unavailable", "Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("503 Service Unavailable", "soon", None),
        ("503 Service Unavailable", "-5", None),
        ("503 Service Unavailable", "\u0662", None),
        ("500 Oops", "", None),
        ("502 Bad Gateway", "1.5", None),
        ("504 Gateway Timeout", "nan", None),
    ],
)
async def test_not_now_tells_how_long_to_wait(
    status: str, header: str, seconds: float | None
) -> None:
    async with saying(answer(b"", status, retry_after=header)) as url:
        with pytest.raises(GatewayUnavailableError) as raised:
            await charged(url)
    assert raised.value.retry_after == seconds


async def test_nobody_there_and_a_lost_connection_are_not_now() -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with saying(hang_up) as url:
        with pytest.raises(GatewayUnavailableError):
            await charged(url)
    with pytest.raises(GatewayUnavailableError):
        await charged(url)


@pytest.mark.parametrize("url", ["http://nowhere.invalid", "http://a..b", "http://xn--a"])
async def test_a_host_that_has_no_address_is_no_crash(url: str) -> None:
    with pytest.raises((GatewayUnknownError, TimeoutError)):
        await charged(url)


async def test_no_error_tells_the_password_in_a_gateways_url() -> None:
    for status in ("500 Oops", "302 Found", "422 No"):
        async with saying(answer(b"no", status)) as url:
            secret = url.replace("http://", "http://user:hidden@")
            with pytest.raises((GatewayUnknownError, GatewayRefusedError)) as raised:
                await charged(secret)
            assert "hidden" not in repr(raised.value)
    with pytest.raises(GatewayUnknownError) as unknown:
        await charged("http://user:hidden@127.0.0.1:1")
    assert "hidden" not in repr(unknown.value)


async def test_after_a_gateway_hung_more_calls_than_there_are_connections_get_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than 100 at once, given up while they wait, in waves, as attempts do."""
    monkeypatch.setattr(http, "GATEWAY_CALL_SECONDS", 60.0)
    hangs = asyncio.Event()

    async def send(writer: asyncio.StreamWriter) -> None:
        if not hangs.is_set():
            await hangs.wait()
        await answer(CAPTURED)(writer)

    async with saying(send) as url, paying(url) as gateway:

        async def call(seconds: float) -> bool:
            async with asyncio.timeout(seconds):
                return await gateway.charge(CHARGE)

        for _ in range(2):
            waves = [call(0.3 + 0.01 * (number % 7)) for number in range(250)]
            outcomes = await asyncio.gather(*waves, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {TimeoutError}
        hangs.set()
        assert await asyncio.gather(*(call(60) for _ in range(250))) == [False] * 250


class Own:
    """A gateway and carrier of a user's own: it returns or raises what it likes."""

    def __init__(self, outcome: object) -> None:
        self._outcome = outcome

    async def charge(self, charge: Charge) -> Any:
        return self._say()

    async def lookup(self, key: str) -> Any:
        return self._say()

    async def void(self, charge: Charge) -> Any:
        return self._say()

    async def refund(self, charge: Charge) -> Any:
        return self._say()

    async def dispatch(self, shipment: Shipment) -> Any:
        return self._say()

    async def recall(self, shipment: Shipment) -> Any:
        return self._say()

    def _say(self) -> Any:
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("mute")


@pytest.mark.parametrize("outcome", ["paid", "", None, 7, b"captured", ["captured"]])
async def test_an_own_gateway_that_tells_no_status_leaves_it_unknown(outcome: object) -> None:
    gateway = SanitizedPaymentGateway(Own(outcome))
    for call in (gateway.lookup("k"), gateway.void(CHARGE), gateway.refund(CHARGE)):
        with pytest.raises(GatewayUnknownError):
            await call


async def test_an_own_gateway_may_tell_a_status_by_its_name() -> None:
    assert await SanitizedPaymentGateway(Own("voided")).lookup("k") is ChargeStatus.VOIDED
    assert await SanitizedPaymentGateway(Own("odd")).charge(CHARGE) is False


@pytest.mark.parametrize("outcome", [b"T-1", 7, "", object(), True])
async def test_an_own_carrier_that_tells_nothing_of_use_leaves_it_unknown(outcome: object) -> None:
    carrier = SanitizedCarrier(Own(outcome))
    for call in (carrier.dispatch(SHIPMENT), carrier.lookup(SHIPMENT)):
        with pytest.raises(GatewayUnknownError):
            await call
    if not isinstance(outcome, bool):
        with pytest.raises(GatewayUnknownError):
            await carrier.recall(SHIPMENT)


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (GatewayRefusedError("no \x00way"), GatewayRefusedError, "no way"),
        (GatewayUnknownError(""), GatewayUnknownError, "GatewayUnknownError"),
        (GatewayUnavailableError("not now"), GatewayUnavailableError, "not now"),
        (ConnectionRefusedError("refused"), GatewayUnavailableError, "refused"),
        (KeyError("status"), GatewayUnknownError, "KeyError: 'status'"),
        (MuteError(), GatewayUnknownError, "MuteError: MuteError"),
        (RuntimeError("x" * 3_000_000), GatewayUnknownError, "RuntimeError: " + "x" * 286),
        (TimeoutError("secret"), TimeoutError, "the carrier gave no answer"),
        (GatewayRefusedError("k\\u00f6nigstra&szlig;e 12"), GatewayRefusedError, "***"),
        (ValueError("K%C3%96LN, dear J\u00f6rg"), GatewayUnknownError, "ValueError: ***, dear ***"),
    ],
)
async def test_what_an_own_carrier_raises_is_told_within_bounds(
    raised: Exception, kind: type[Exception], message: str
) -> None:
    carrier = SanitizedCarrier(Own(raised))
    for call in (carrier.dispatch(SHIPMENT), carrier.lookup(SHIPMENT), carrier.recall(SHIPMENT)):
        with pytest.raises(kind) as caught:
            await call
        assert (type(caught.value), str(caught.value)) == (kind, message)
        # No cause reveals more; the traceback stays.
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        if kind is not TimeoutError:
            assert any(entry.name == "_say" for entry in caught.traceback)


async def test_how_long_to_wait_is_kept() -> None:
    carrier = SanitizedCarrier(Own(GatewayUnavailableError("busy", retry_after=3.0)))
    with pytest.raises(GatewayUnavailableError) as caught:
        await carrier.dispatch(SHIPMENT)
    assert caught.value.retry_after == 3.0
