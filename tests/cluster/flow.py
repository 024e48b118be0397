"""A steady flow of orders from inside the cluster, open loop, that reports every lost request.

Runs in a pod, with the standard library: an order every 1 / RATE seconds, whatever became of
earlier orders, and with each a look at an earlier order. Every other request has its own
connection; the others share kept connections. Runs for at least SECONDS and until the file STOP
exists, then follows each accepted order to its end, and prints a report as a line of JSON. LOOKS is
the number of looks for each order; CANCEL_AFTER cancels each order so many seconds later; with
REFUSABLE a 429 or 503 is a refusal, which a client repeats, else a lost request. After
ATTEMPT_SECONDS without an answer a request is repeated on a new connection; none is by default.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

ENDS: Final = frozenset({"fulfilled", "cancelled", "rejected", "failed", "timed_out"})
# Longer than any answer takes, shorter than a client would wait.
ANSWER_SECONDS: Final = 10.0
# Of a client that repeats requests: for a connection, and between two attempts.
CONNECT_SECONDS: Final = 0.5
PAUSE_SECONDS: Final = 0.2
# An order has 15 s; an order still open after this never ends.
END_SECONDS: Final = 45.0
# Errors of a kept connection that the server closed before it read the request.
CLOSED: Final = (ConnectionResetError, BrokenPipeError)
THREADS: Final = 32
PLACED: Final = (HTTPStatus.ACCEPTED,)
REFUSED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
FOUND: Final = (HTTPStatus.OK,)
# Applied, or queued for a worker that is slow to answer, or too late: where all waits for a core,
# the order may have ended meanwhile.
CANCELLED: Final = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT)


@dataclass
class Seen:
    """Results of the requests."""

    requests: int = 0
    seconds: list[float] = field(default_factory=list)
    # Kept connections closed before any byte of an answer: the request was repeated, once. With
    # ATTEMPT_SECONDS also each attempt without an answer that was followed by another one.
    repeated: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Order:
    """An accepted order; `took` is the time from before the request to the order's end."""

    id: str
    sent: float
    # After its turn: a flow that waits for a core itself measures itself.
    sent_late: float
    # Its cancel got a conflict.
    too_late: bool = False
    state: str = ""
    took: float = -1.0
    # From its first event to its end: without what a client waits for an answer.
    within: float = -1.0


@dataclass
class Refusal:
    """An order that was refused, or got no answer."""

    sent: float
    reason: str


class Client:
    """A client with kept connections and with connections of a single request."""

    def __init__(self, host: str, key: str, attempt_seconds: float = ANSWER_SECONDS) -> None:
        self._host = host
        self._attempt_seconds = attempt_seconds
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        self._kept: queue.LifoQueue[HTTPConnection] = queue.LifoQueue()
        self.seen = Seen()

    def call(
        self, method: str, path: str, wanted: Collection[int], body: object = None, *, keep: bool
    ) -> dict[str, Any] | None:
        """Return the answer, or None without one or with another status than wanted."""
        began, text, problem = time.monotonic(), b"", ""
        last = began + ANSWER_SECONDS - self._attempt_seconds
        while True:
            what = f"{time.strftime('%X')} {method} {path} {'kept' if keep else 'own'}"
            call = self._kept_call if keep else self._own_call
            try:
                status, text = call(method, path, body, what)
            except (OSError, HTTPException) as error:
                problem = f"{what}: {type(error).__name__} {error}"
            else:
                problem = "" if status in wanted else f"{what}: {status} {text[:200]!r}"
                break
            if time.monotonic() >= last:
                break
            with self.seen.lock:
                self.seen.repeated.append(problem)
            keep = False
            time.sleep(PAUSE_SECONDS)
        with self.seen.lock:
            self.seen.requests += 1
            self.seen.seconds.append(time.monotonic() - began)
            if problem:
                self.seen.lost.append(problem)
                return None
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _own_call(self, method: str, path: str, body: object, _: str) -> tuple[int, bytes]:
        connection = HTTPConnection(self._host, timeout=self._attempt_seconds)
        try:
            return self._send(connection, method, path, body, {"connection": "close"})
        finally:
            connection.close()

    def _kept_call(self, method: str, path: str, body: object, what: str) -> tuple[int, bytes]:
        try:
            connection, used = self._kept.get_nowait(), True
        except queue.Empty:
            connection, used = HTTPConnection(self._host, timeout=self._attempt_seconds), False
        try:
            answer = self._send(connection, method, path, body, {})
        except CLOSED:
            connection.close()
            if not used:
                raise
            with self.seen.lock:
                self.seen.repeated.append(what)
            connection = HTTPConnection(self._host, timeout=self._attempt_seconds)
            answer = self._send(connection, method, path, body, {})
        except (OSError, HTTPException):
            connection.close()
            raise
        # `sock` is None if the answer closes the connection.
        if connection.sock is not None:
            self._kept.put(connection)
        return answer

    def _send(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: object,
        more: Mapping[str, str],
    ) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        if connection.sock is None and self._attempt_seconds < ANSWER_SECONDS:
            self._open(connection)
        connection.request(method, path, data, {**self._headers, **more})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def _open(self, connection: HTTPConnection) -> None:
        connection.timeout = CONNECT_SECONDS
        connection.connect()
        connection.sock.settimeout(self._attempt_seconds)


class Flow:
    """The orders."""

    def __init__(
        self,
        client: Client,
        prefix: str,
        *,
        looks: int = 1,
        cancel_after: float | None = None,
        refusable: bool = False,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._looks = looks
        self._cancel_after = cancel_after
        self._refused = REFUSED if refusable else ()
        self.orders: list[Order] = []
        self.refusals: list[Refusal] = []
        self.unanswered: list[Refusal] = []

    def place(self, number: int, turn: float) -> None:
        """Place an order and look at an earlier order, on connections of different kinds."""
        late = time.monotonic() - turn
        order_id = f"{self._prefix}-{number}"
        address = {"street": "1 Flow St", "city": "Springfield"}
        body = {"payment_id": f"{order_id}-payment", "address": address}
        keep, sent = number % 2 == 0, time.time()
        path = f"/orders/{order_id}/start"
        answer = self._client.call("POST", path, (*PLACED, *self._refused), body, keep=keep)
        refused = answer is not None and answer.get("status") in self._refused
        accepted = answer is not None and not refused
        earlier = self.orders[-1] if self.orders else None
        order = Order(order_id, sent, late)
        if accepted:
            self.orders.append(order)
        elif answer is not None:
            self.refusals.append(Refusal(sent, answer.get("reason") or answer["detail"]))
        else:
            self.unanswered.append(Refusal(sent, order_id))
        for _ in range(self._looks):
            if earlier is None:
                break
            path = f"/orders/{earlier.id}"
            self._client.call("GET", path, (*FOUND, *self._refused), keep=not keep)
        if accepted and self._cancel_after is not None:
            time.sleep(max(0.0, sent + self._cancel_after - time.time()))
            path = f"/orders/{order_id}/signals/cancel"
            answer = self._client.call("POST", path, CANCELLED, {}, keep=keep)
            order.too_late = answer is not None and answer.get("status") == HTTPStatus.CONFLICT

    def run(self, rate: float, seconds: float, stop: Path) -> None:
        """Place orders until it is time to stop."""
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as threads:
            number, turn = 0, began
            while time.monotonic() < began + seconds or not stop.exists():
                threads.submit(self.place, number, turn).add_done_callback(_raised)
                number += 1
                # Keeps the rate after a pause of this process too: no order is skipped.
                turn = began + number / rate
                time.sleep(max(0.0, turn - time.monotonic()))

    def follow(self) -> None:
        """Wait for the end of each order."""
        deadline = time.monotonic() + END_SECONDS
        for order in self.orders:
            while order.state not in ENDS:
                shown = self._client.call("GET", f"/orders/{order.id}", FOUND, keep=True)
                if shown:
                    order.state = shown["state"]
                    self._note_end(order, shown["events"])
                if order.state in ENDS or time.monotonic() > deadline:
                    break
                time.sleep(0.2)

    def _note_end(self, order: Order, events: list[dict[str, Any]]) -> None:
        for event in events:
            if event["type"] in ENDS:
                ended, first = (datetime.fromisoformat(at["ts"]) for at in (event, events[0]))
                order.took = ended.timestamp() - order.sent
                order.within = (ended - first).total_seconds()


def _raised(done: Any) -> None:
    """Exit on an error in a thread."""
    if error := done.exception():
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)


def main() -> None:
    """Run, and print the report."""
    env = os.environ
    after = env.get("CANCEL_AFTER")
    flow = Flow(
        client := Client(
            env["API_HOST"],
            env["API_KEY"],
            float(env.get("ATTEMPT_SECONDS", ANSWER_SECONDS)),
        ),
        env["PREFIX"],
        looks=int(env.get("LOOKS", "1")),
        cancel_after=float(after) if after else None,
        refusable="REFUSABLE" in env,
    )
    began = time.monotonic()
    flow.run(float(env["RATE"]), float(env["SECONDS"]), Path(env["STOP"]))
    ran = time.monotonic() - began
    flow.follow()
    seen = {name: value for name, value in vars(client.seen).items() if name != "lock"}
    orders = [asdict(order) for order in flow.orders]
    refused = {
        name: [asdict(refusal) for refusal in getattr(flow, name)]
        for name in ("refusals", "unanswered")
    }
    json.dump({"ran": ran, **seen, "orders": orders, **refused}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
