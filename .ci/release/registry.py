"""What a registry has under a name: without an account, and checked against its digest."""

import hashlib
import json
import re
from http import HTTPStatus
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from release.settings import Settings
from release.tools import ReleaseError

_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, */*"
)
_SECONDS: Final = 60


class Registry:
    """One registry, and what it let us read."""

    def __init__(self, settings: Settings) -> None:
        host, _, path = settings.registry.partition("/")
        self._base = f"{'http' if settings.plain_http else 'https'}://{host}/v2"
        self._prefix = f"{path}/" if path else ""
        self._tokens: dict[str, str] = {}

    def digest_of(self, name: str, tag: str) -> str:
        """Return the digest of what a tag names now."""
        return _digest(self._get(name, f"manifests/{tag}"))

    def manifest(self, name: str, digest: str) -> dict[str, Any]:
        """Return a manifest."""
        manifest: dict[str, Any] = json.loads(self._content(name, "manifests", digest))
        return manifest

    def blob(self, name: str, digest: str) -> bytes:
        """Return a blob: an image's configuration, a chart's archive."""
        return self._content(name, "blobs", digest)

    def _content(self, name: str, kind: str, digest: str) -> bytes:
        content = self._get(name, f"{kind}/{digest}")
        if _digest(content) != digest:
            raise ReleaseError(f"{name}: the registry sent {_digest(content)} for {digest}")
        return content

    def _get(self, name: str, what: str) -> bytes:
        url = f"{self._base}/{self._prefix}{name}/{what}"
        for _ in range(2):
            headers = {"Accept": _MANIFESTS}
            if token := self._tokens.get(name):
                headers["Authorization"] = f"Bearer {token}"
            try:
                return _read(Request(url, headers=headers))  # noqa: S310 (http and https only)
            except HTTPError as error:
                challenge = error.headers.get("WWW-Authenticate", "")
                if error.code != HTTPStatus.UNAUTHORIZED or token:
                    raise ReleaseError(f"{url}: {error}") from None
                self._tokens[name] = _anonymous_token(challenge)
            except URLError as error:
                raise ReleaseError(f"{url}: {error.reason}") from None
        raise ReleaseError(f"{url}: the registry asks for an account")


def _anonymous_token(challenge: str) -> str:
    words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = words.pop("realm", "")
    if not realm.startswith("https://"):
        raise ReleaseError("the registry asks for an account")
    try:
        answer = json.loads(_read(Request(f"{realm}?{urlencode(words)}")))  # noqa: S310 (https)
    except URLError as error:
        raise ReleaseError(f"{realm}: {error}") from None
    return str(answer["token"])


def _read(request: Request) -> bytes:
    with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 (http and https only)
        content: bytes = answer.read()
        return content


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
