"""Gateways over HTTP with one defect each, and the rule of `gateway check` that names it."""

import select
import socket
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from threading import Lock
from typing import Final

from tests.support.gateways import Body, Carrier, Gateway, PaymentGateway, Reply


class NoEntry(PaymentGateway):
    def reply(self, method: str, path: list[str], body: Body) -> Reply:
        del method, path, body
        return 401, {}


class Moved(PaymentGateway):
    def refund(self, key: str) -> Reply:
        return 307, {"location": f"/v2/charges/{key}/refund"}


class Slow(PaymentGateway):
    def void(self, key: str) -> Reply:
        time.sleep(1.1)
        return super().void(key)


class Garbage(PaymentGateway):
    def encode(self, reply: Reply) -> tuple[int, bytes]:
        status, content = super().encode(reply)
        return status, b"<html>ok</html>" if b"refunded" in content else content


class Duplicates(Carrier):
    def encode(self, reply: Reply) -> tuple[int, bytes]:
        status, content = super().encode(reply)
        return status, content.replace(b"}", b', "tracking": "T-0"}') if status == 201 else content


class Elsewhere(PaymentGateway):
    """Nothing of it is at the URL."""

    root = "v2"


class Endless(Carrier):
    def encode(self, reply: Reply) -> tuple[int, bytes]:
        status, content = super().encode(reply)
        return status, content + b" " * 1_000_000 if status == 201 else content


class OneConnection(PaymentGateway):
    """Serves a connection until its end, then the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = Lock()

    def before(self, handler: BaseHTTPRequestHandler) -> None:
        def close() -> None:
            self.turn.release()
            finish()

        finish, handler.finish = handler.finish, close  # type: ignore[method-assign]
        self.turn.acquire()


class OneByOne(Carrier):
    def dispatch(self, key: str, body: Body) -> Reply:
        with self.lock:
            time.sleep(0.15)
        return super().dispatch(key, body)


class AlwaysReplayed(PaymentGateway):
    def charge(self, key: str, body: Body) -> Reply:
        status, answer = super().charge(key, body)
        return status, answer | {"replayed": True}


class RefusesRepeats(PaymentGateway):
    def charge(self, key: str, body: Body) -> Reply:
        status, answer = super().charge(key, body)
        return (409, {}) if answer.get("replayed") else (status, answer)


class Counted(PaymentGateway):
    """A gateway that may capture a key more than once, and refunds one capture at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.captures: Counter[str] = Counter()

    def capture(self, key: str) -> None:
        with self.lock:
            self.captures[key] += 1

    def refund(self, key: str) -> Reply:
        reply = super().refund(key)
        with self.lock:
            self.captures[key] -= 1
            if self.captures[key] > 0 and self.status.get(key) == "refunded":
                self.status[key] = "captured"
        return reply


class CapturesRaces(Counted):
    def charge(self, key: str, body: Body) -> Reply:
        first = not self.captures[key]
        time.sleep(0.05)
        status, _ = super().charge(key, body)
        if status == 200 and first:
            self.capture(key)
        return status, {"status": self.status[key]}


class CapturesOtherAmounts(Counted):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str]] = set()

    def charge(self, key: str, body: Body) -> Reply:
        reply = super().charge(key, body)
        with self.lock:
            new = (key, body["amount"]) not in self.seen
            self.seen.add((key, body["amount"]))
        if reply[0] == 200 and new:
            self.capture(key)
        return reply


class Hangs(PaymentGateway):
    """A charge whose client is gone stays locked."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: set[str] = set()

    def charge(self, key: str, body: Body) -> Reply:
        return (409, {}) if key in self.locked else super().charge(key, body)

    def after(self, handler: BaseHTTPRequestHandler, key: str) -> None:
        if handler.path == "/charges":
            ended, _, _ = select.select([handler.connection], [], [], 0.15)
            if ended and not handler.connection.recv(1, socket.MSG_PEEK):
                self.locked.add(key)


class ShortKeys(PaymentGateway):
    def reply(self, method: str, path: list[str], body: Body) -> Reply:
        path = [part[:40] for part in path]
        return super().reply(method, path, body | {"key": body.get("key", "")[:40]})


class AnyCase(PaymentGateway):
    def reply(self, method: str, path: list[str], body: Body) -> Reply:
        path = [part.lower() for part in path]
        return super().reply(method, path, body | {"key": body.get("key", "").lower()})


class TakesAnyCurrency(PaymentGateway):
    def charge(self, key: str, body: Body) -> Reply:
        return (400, {}) if body["currency"] == "JPY" else super().charge(key, body)


class ForgetsVoids(PaymentGateway):
    def lookup(self, key: str) -> Reply:
        reply = super().lookup(key)
        return (404, {}) if reply[1].get("status") == "voided" else reply


class ChargesLate(PaymentGateway):
    def charge(self, key: str, body: Body) -> Reply:
        with self.lock:
            if self.status.get(key) == "voided":
                self.status[key] = "captured"
        return super().charge(key, body)


class RefusesVaguely(PaymentGateway):
    def charge(self, key: str, body: Body) -> Reply:
        status, answer = super().charge(key, body)
        return (402 if status == 409 else status), answer


class VoidsCaptures(PaymentGateway):
    def void(self, key: str) -> Reply:
        with self.lock:
            self.status[key] = "voided"
        return 200, {"status": "voided"}


class VoidsInBetween(PaymentGateway):
    def void(self, key: str) -> Reply:
        used = key in self.status
        time.sleep(0.02)
        if used:
            return super().void(key)
        with self.lock:
            self.status[key] = "voided"
        return 200, {"status": "voided"}


class RefundsOnce(PaymentGateway):
    def refund(self, key: str) -> Reply:
        used = self.status.get(key) == "refunded"
        return (422, {}) if used else super().refund(key)


class ChargesAgain(PaymentGateway):
    def charge(self, key: str, body: Body) -> Reply:
        with self.lock:
            if self.status.get(key) == "refunded":
                self.status[key] = "captured"
        return super().charge(key, body)


class Forgets(PaymentGateway):
    def restart(self) -> None:
        self.status.clear()


class NewNumbers(Carrier):
    def dispatch(self, key: str, body: Body) -> Reply:
        with self.lock:
            if self.packages.get(key):
                self.packages[key] += "x"
        return super().dispatch(key, body)


class ShipsRaces(Carrier):
    def dispatch(self, key: str, body: Body) -> Reply:
        new = key not in self.packages
        time.sleep(0.02)
        if new and (taken := super().dispatch(key, body))[0] == 201:
            self.packages[key] = f"{taken[1]['tracking']}-{time.monotonic_ns()}"
        return super().dispatch(key, body)


class NumbersWithNames(Carrier):
    def dispatch(self, key: str, body: Body) -> Reply:
        status, answer = super().dispatch(key, body)
        if status == 201:
            self.packages[key] = answer["tracking"] = f"{key}/{body['address']['city']}"
        return status, answer


class OrdersAsKeys(Carrier):
    def lookup(self, key: str) -> Reply:
        order_id = key.partition("/")[0]
        keys = (other for other in self.packages if other.partition("/")[0] == order_id)
        return super().lookup(next(keys, ""))


class ShipsLate(Carrier):
    def recall(self, key: str) -> Reply:
        return super().recall(key) if key in self.packages else (200, {"recalled": False})


class LosesPackages(Carrier):
    def recall(self, key: str) -> Reply:
        super().recall(key)
        return 200, {"recalled": False}


class ShipsAgain(Carrier):
    def dispatch(self, key: str, body: Body) -> Reply:
        with self.lock:
            if key in self.called_back and not self.packages[key]:
                self.packages[key] = "T-again"
        return super().dispatch(key, body)


class ForgetsRecalls(Carrier):
    def restart(self) -> None:
        self.packages = {key: number for key, number in self.packages.items() if number}


DEFECTS: Final[dict[type[Gateway], str]] = {
    NoEntry: "accepts-credentials",
    Moved: "no-redirects",
    Slow: "answers-in-time",
    Garbage: "answers-are-json",
    Duplicates: "answers-are-json",
    Endless: "answers-are-json",
    Elsewhere: "takes-one",
    OneConnection: "idle-connections",
    OneByOne: "many-at-once",
    AlwaysReplayed: "replayed",
    RefusesRepeats: "charge-repeated",
    CapturesRaces: "charge-at-once",
    CapturesOtherAmounts: "other-amount",
    Hangs: "charge-reply-lost",
    ShortKeys: "long-key",
    AnyCase: "keys-by-case",
    TakesAnyCurrency: "other-currency",
    ForgetsVoids: "void-before-charge",
    ChargesLate: "late-charge",
    RefusesVaguely: "late-charge",
    VoidsCaptures: "void-after-charge",
    VoidsInBetween: "void-during-charge",
    RefundsOnce: "refund-repeated",
    ChargesAgain: "charge-after-refund",
    Forgets: "restart-keeps-captured",
    NewNumbers: "dispatch-repeated",
    ShipsRaces: "dispatch-at-once",
    NumbersWithNames: "tracking-number",
    OrdersAsKeys: "key-with-slash",
    ShipsLate: "late-dispatch",
    LosesPackages: "recall",
    ShipsAgain: "dispatch-after-recall",
    ForgetsRecalls: "restart-keeps-recalled",
}
