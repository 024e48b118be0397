"""Certificates of a private authority, made by openssl."""

import subprocess
from pathlib import Path
from shutil import which
from typing import Final, NamedTuple

import pytest

needs_openssl: Final = pytest.mark.skipif(which("openssl") is None, reason="openssl is not here")


class Pair(NamedTuple):
    """Files of a certificate and its key."""

    certificate: Path
    key: Path


def make_pair(
    directory: Path, name: str, authority: Pair | None = None, *, host: str = "IP:127.0.0.1"
) -> Pair:
    """Make a certificate for a host, signed by an authority; without one it is an authority."""
    pair = Pair(directory / f"{name}.crt", directory / f"{name}.key")
    # Python 3.13 refuses an authority that does not say what its key is for.
    signed = ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
    if authority:
        signed = ["-CA", str(authority.certificate), "-CAkey", str(authority.key)]
        # Rustls, unlike OpenSSL, refuses an authority as a server.
        signed += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName={host}", *signed),
            *("-keyout", str(pair.key), "-out", str(pair.certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return pair
