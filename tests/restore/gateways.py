"""Gateways outside of all that is restored: their ledgers are what really happened."""

import random
import time
from collections import defaultdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.support.gateways import Body, Carrier, Gateway, PaymentGateway, Reply

_PAGE: Final = 50
_DECLINED: Final = 0.05
_REFUSED: Final = 0.15
_LONGEST_PAUSE: Final = 0.4


def _share(text: str) -> float:
    """Return the same number of [0, 1) for the same text."""
    return random.Random(text).random()


class _Slow(Gateway):
    """A gateway that takes its time, and whose clients are killed."""

    def before(self, handler: BaseHTTPRequestHandler) -> None:
        time.sleep(random.uniform(0, _LONGEST_PAUSE))

    def reply(self, method: str, path: list[str], body: Body) -> Reply:
        if method == "POST" and not body:
            # The client was killed before it had sent the body.
            return 400, {}
        return super().reply(method, path, body)


class Bank(_Slow, PaymentGateway):
    """A payment gateway that declines some, and lists what it captured."""

    def __init__(self) -> None:
        super().__init__()
        self.charges: dict[str, dict[str, Any]] = {}
        self.captures: dict[str, list[str]] = defaultdict(list)
        """By order, the keys that were captured."""

    def charge(self, key: str, body: Body) -> Reply:
        if _share(key) < _DECLINED:
            return 422, {"reason": "declined"}
        reply = super().charge(key, body)
        if reply[0] == 200:
            created = datetime.now(UTC).isoformat()
            with self.lock:
                if key not in self.charges:
                    self.charges[key] = {**body, "created_at": created}
                    self.captures[body["order_id"]].append(key)
        return reply

    def reply(self, method: str, path: list[str], body: Body) -> Reply:
        url = urlsplit("/".join(path))
        if method == "GET" and url.path == "charges":
            return self._list({name: values[0] for name, values in parse_qs(url.query).items()})
        return super().reply(method, path, body)

    def _list(self, query: dict[str, str]) -> Reply:
        since = datetime.fromisoformat(query["since"])
        start = int(query.get("after") or 0)
        with self.lock:
            keys = list(self.charges)[start : start + _PAGE]
            charges = [self.charges[key] | {"status": self.status[key]} for key in keys]
        wanted = [one for one in charges if datetime.fromisoformat(one["created_at"]) >= since]
        following = str(start + _PAGE) if len(keys) == _PAGE else ""
        return 200, {"charges": wanted, "next": following}


class Post(_Slow, Carrier):
    """A carrier that refuses some keys."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, str] = {}
        """By key, the order."""

    def dispatch(self, key: str, body: Body) -> Reply:
        if _share(key) < _REFUSED and key not in self.packages:
            return 422, {"reason": "refused"}
        reply = super().dispatch(key, body)
        if reply[0] == 201:
            self.taken[key] = body["order_id"]
        return reply

    def packages_of(self, order_id: str) -> list[str]:
        """Return the keys of an order's packages that were not called back."""
        return [
            key for key, order in self.taken.items() if order == order_id and self.packages[key]
        ]
