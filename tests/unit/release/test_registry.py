"""What is read of a registry, and what a release's settings refuse."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from release.registry import Registry
from release.settings import Settings
from release.tools import ReleaseError

_MANIFEST: Final = b'{"layers": []}'
_DIGEST: Final = f"sha256:{hashlib.sha256(_MANIFEST).hexdigest()}"
_OTHER: Final = f"sha256:{'0' * 64}"


class _Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Serve the same manifest for its tag and for every digest; one image is private."""
        if "secret" in self.path:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Bearer realm="http://127.0.0.1:1/token"')
        elif "/shop/orderfleet-api/manifests/" in self.path:
            self.send_response(200)
        else:
            self.send_response(404)
        self.end_headers()
        self.wfile.write(_MANIFEST)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Registry(Settings(f"127.0.0.1:{server.server_port}/shop"))
    server.shutdown()
    server.server_close()


def test_content_is_checked_against_its_digest(registry: Registry) -> None:
    assert registry.digest_of("orderfleet-api", "1.2.3") == _DIGEST
    assert registry.manifest("orderfleet-api", _DIGEST) == {"layers": []}
    with pytest.raises(ReleaseError, match=f"sent {_DIGEST} for {_OTHER}"):
        registry.manifest("orderfleet-api", _OTHER)


def test_what_is_absent_or_private_is_one_line(registry: Registry) -> None:
    with pytest.raises(ReleaseError, match="404"):
        registry.digest_of("orderfleet-cli", "1.2.3")
    with pytest.raises(ReleaseError, match="asks for an account"):
        registry.digest_of("secret", "1.2.3")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("REGISTRY", "", "like ghcr.io/owner"),
        ("REGISTRY", "https://ghcr.io/owner", "like ghcr.io/owner"),
        ("REGISTRY", "ghcr.io/Owner", "like ghcr.io/owner"),
        ("COSIGN_KEY", "no/such.key", "no file no/such.key"),
    ],
)
def test_settings_refuse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv("REGISTRY", "ghcr.io/owner")
    monkeypatch.setenv(name, value)
    with pytest.raises(ReleaseError, match=words):
        Settings.from_environment(tmp_path)


@pytest.mark.parametrize(
    ("registry", "plain"),
    [
        ("127.0.0.1:5000/shop", True),
        ("localhost/shop", True),
        ("ghcr.io/owner", False),
        ("127.0.0.1.example/shop", False),
        ("localhost.example/shop", False),
    ],
)
def test_only_loopback_is_read_without_tls(registry: str, *, plain: bool) -> None:
    assert Settings(registry).plain_http is plain
