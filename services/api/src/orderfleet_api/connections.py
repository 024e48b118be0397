"""The connections of the HTTP server: how many there are, and which of them wait for their client.

uvicorn bounds only how long an idle connection is kept. `http_protocol.py` has the bounds of one
connection, see `docs/decisions/0021-uvicorn-with-bounds-of-its-own.md`.
"""

import asyncio
from enum import Enum, auto
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter
from uvicorn.server import ServerState

from orderfleet_api.bulkheads import Bulkhead
from orderfleet_api.failure_log import FailureLog

_REASONS: Final = ("made room", "slow head", "slow body", "unread answer", "too large", "not HTTP")


class Wait(Enum):
    """What a connection waits for."""

    HEAD = auto()
    """The head of a request."""
    BODY = auto()
    """The rest of its body."""
    READ = auto()
    """The client to read the answer."""
    NEXT = auto()
    """The next request: it is idle."""
    GONE = auto()
    """The client to close, after a refusal."""


class Waiting(Protocol):
    """A connection that waits for its client, and so can be closed."""

    def drop(self, reason: str) -> None:
        """Close it at once, to make room."""

    def expire(self) -> None:
        """Close it, as its time is over."""


class Connections(ServerState):
    """All connections, and those that wait for their client in the order in which they began."""

    def __init__(
        self, bulkhead: Bulkhead, failures: FailureLog, registry: CollectorRegistry
    ) -> None:
        super().__init__()
        self.bulkhead = bulkhead
        self.failures = failures
        # What each waits for and until when (the event loop's time), longest waiting first.
        self.waiting: dict[Waiting, tuple[Wait, float]] = {}
        closed = Counter(
            "orderfleet_http_connections_closed_total",
            "Closed by the server before their client did, by reason.",
            ["reason"],
            registry=registry,
        )
        self.closed = {reason: closed.labels(reason) for reason in _REASONS}

    def admit(self) -> bool:
        """Count a new connection; False if there is no room, even without those that wait."""
        while self.bulkhead.in_use >= self.bulkhead.limit and self.waiting:
            next(iter(self.waiting)).drop("made room")
        if self.bulkhead.in_use >= self.bulkhead.limit:
            return False
        self.bulkhead.enter()
        return True

    def sweep(self) -> None:
        """Close the connections whose time is over."""
        now = asyncio.get_running_loop().time()
        for connection, (_, until) in list(self.waiting.items()):
            if until <= now:
                connection.expire()
        self.failures.flush()
