"""What a release is made with, from the environment that `make` hands on."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from release.tools import ReleaseError

_LOOPBACK: Final = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?(/|$)")
_NAME: Final = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*")


@dataclass(frozen=True)
class Settings:
    """Settings of `make release-artifacts` and `make verify-release`."""

    registry: str
    builder: str = "docker"
    # A cosign key: the private one signs, the public one verifies. Empty is keyless.
    key: str = ""
    # Who signed without a key: an identity, by a regular expression, and who vouches for it.
    identity: str = ""
    issuer: str = "https://token.actions.githubusercontent.com"
    # The builder as provenance names it.
    builder_id: str = "https://slsa.dev/unknown-builder"
    source: str = ""

    @property
    def plain_http(self) -> bool:
        """Whether the registry is on loopback, where nobody needs TLS."""
        return _LOOPBACK.match(self.registry) is not None

    @classmethod
    def from_environment(cls, root: Path) -> "Settings":
        """Read the settings.

        Raises:
            ReleaseError: the registry is missing or malformed, or there is no such key.
        """
        registry = os.environ.get("REGISTRY", "")
        if _NAME.fullmatch(registry) is None:
            raise ReleaseError(f"REGISTRY must be like ghcr.io/owner, not {registry!r}")
        key = os.environ.get("COSIGN_KEY", "")
        if key and not (root / key).is_file():
            raise ReleaseError(f"COSIGN_KEY: there is no file {key}")
        return cls(
            registry=registry,
            builder=os.environ.get("BUILDER") or "docker",
            key=str(root / key) if key else "",
            identity=os.environ.get("COSIGN_IDENTITY", ""),
            issuer=os.environ.get("COSIGN_ISSUER") or cls.issuer,
            builder_id=os.environ.get("BUILDER_ID") or cls.builder_id,
            source=os.environ.get("SOURCE_URL", ""),
        )
