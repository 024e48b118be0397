"""A payment gateway and a carrier over HTTP that keep the contract; a subclass breaks a rule."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from threading import Lock
from typing import Any
from urllib.parse import unquote

from tests.support.http_servers import served

Reply = tuple[int, dict[str, Any]]
Body = dict[str, Any]


class Gateway:
    """What both have in common; a defect overrides a method."""

    root = ""

    def __init__(self) -> None:
        self.lock = Lock()

    def create(self, key: str, body: Body) -> Reply:
        raise NotImplementedError

    def lookup(self, key: str) -> Reply:
        raise NotImplementedError

    def act(self, action: str, key: str, body: Body) -> Reply:
        raise NotImplementedError

    def restart(self) -> None:
        """Come back with everything that was there before."""

    def encode(self, reply: Reply) -> tuple[int, bytes]:
        status, document = reply
        return status, json.dumps(document).encode()

    def before(self, handler: BaseHTTPRequestHandler) -> None:
        """Called before a request is looked at."""

    def after(self, handler: BaseHTTPRequestHandler, key: str) -> None:
        """Called when a request has had its effect, before the answer."""

    def reply(self, method: str, path: list[str], body: Body) -> Reply:
        match method, path:
            case "GET", [root, key] if root == self.root:
                return self.lookup(key)
            case "POST", [root] if root == self.root:
                return self.create(body["key"], body)
            case "POST", [root, key, action] if root == self.root and key == body["key"]:
                return self.act(action, key, body)
            case "POST", ["restart"]:
                self.restart()
                return 200, {}
        return 400, {}


class PaymentGateway(Gateway):
    """Keeps the contract."""

    root = "charges"

    def __init__(self) -> None:
        super().__init__()
        self.status: dict[str, str] = {}

    def create(self, key: str, body: Body) -> Reply:
        return self.charge(key, body)

    def act(self, action: str, key: str, body: Body) -> Reply:
        return self.void(key) if action == "void" else self.refund(key)

    def charge(self, key: str, _body: Body) -> Reply:
        with self.lock:
            replayed = key in self.status
            status = self.status.setdefault(key, "captured")
        if status != "captured":
            return 409, {"status": status}
        return 200, {"status": status, "replayed": replayed}

    def lookup(self, key: str) -> Reply:
        status = self.status.get(key)
        return (200, {"status": status}) if status else (404, {})

    def void(self, key: str) -> Reply:
        with self.lock:
            return 200, {"status": self.status.setdefault(key, "voided")}

    def refund(self, key: str) -> Reply:
        with self.lock:
            if self.status.get(key) == "captured":
                self.status[key] = "refunded"
            return 200, {"status": self.status.get(key, "none")}


class Carrier(Gateway):
    """Keeps the contract."""

    root = "shipments"

    def __init__(self) -> None:
        super().__init__()
        # The tracking number; empty for a key that was recalled.
        self.packages: dict[str, str] = {}
        self.called_back: set[str] = set()

    def create(self, key: str, body: Body) -> Reply:
        return self.dispatch(key, body)

    def act(self, action: str, key: str, body: Body) -> Reply:
        del action, body
        return self.recall(key)

    def dispatch(self, key: str, _body: Body) -> Reply:
        with self.lock:
            tracking = self.packages.setdefault(key, f"T-{len(self.packages)}")
        return (201, {"tracking": tracking}) if tracking else (409, {"reason": "recalled"})

    def lookup(self, key: str) -> Reply:
        tracking = self.packages.get(key)
        return (200, {"tracking": tracking}) if tracking else (404, {})

    def recall(self, key: str) -> Reply:
        with self.lock:
            if self.packages.get(key):
                self.called_back.add(key)
            self.packages[key] = ""
        return 200, {"recalled": key in self.called_back}


@contextmanager
def serve_gateway(gateway: Gateway) -> Iterator[str]:
    """Serve a gateway until the block ends; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is two writes, and the client acknowledges the first one after 40 ms.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            self._answer(json.loads(data) if data else {})

        def handle(self) -> None:
            gateway.before(self)
            # A reply that is lost on purpose.
            with suppress(ConnectionError):
                super().handle()

        def _answer(self, body: Body) -> None:
            path = [unquote(part) for part in self.path.strip("/").split("/")]
            reply = gateway.reply(self.command, path, body)
            gateway.after(self, body.get("key", ""))
            status, content = gateway.encode(reply)
            self.send_response(status)
            if location := reply[1].get("location"):
                self.send_header("location", location)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as url:
        yield url
