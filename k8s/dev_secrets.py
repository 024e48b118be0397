"""Generates the passwords, the API keys and the payload key of overlays/dev, unless they exist."""

import os
import secrets
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final

OVERLAY: Final = Path(__file__).parent / "overlays/dev"
PASSWORDS: Final = ("postgres", "owner", "fleet", "temporal")


def write(name: str, values: dict[str, str]) -> None:
    """Write a file that only its owner can read, unless the file exists."""
    try:
        file = os.open(OVERLAY / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"k8s/overlays/dev/{name} exists already")
        return
    with os.fdopen(file, "w") as opened:
        opened.writelines(f"{key}={value}\n" for key, value in values.items())
    print(f"k8s/overlays/dev/{name} written; git ignores it")


def digest(key: str) -> str:
    """Return the digest by which the API admits a key."""
    return sha256(key.encode()).hexdigest()


if __name__ == "__main__":
    write("postgres.env", {f"{name}-password": secrets.token_hex(16) for name in PASSWORDS})
    key, operator = secrets.token_hex(20), secrets.token_hex(20)
    write("payload-keys.env", {"keys": f"dev:{b64encode(secrets.token_bytes(32)).decode()}"})
    keys = f"dev:{digest(key)},dev-operator:{digest(operator)}:operate"
    write("api-keys.env", {"key": key, "operator-key": operator, "keys": keys})
