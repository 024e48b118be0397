"""AES-256-GCM by the package `cryptography`, of 9 MiB: import this only where there are keys."""

import os
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


def seal(secret: bytes, plain: bytes, associated: bytes) -> bytes:
    """Return a random nonce, the cipher text and its tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, plain, associated)


def unseal(secret: bytes, data: bytes, associated: bytes) -> bytes:
    """Return the plain text.

    Raises:
        ValueError: the data or the associated data were changed, or the key is another one.
    """
    if len(data) < _NONCE_BYTES + _TAG_BYTES:
        raise ValueError("too short")
    try:
        return _cipher(secret).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], associated)
    except InvalidTag:
        raise ValueError("changed, or of another key") from None


@lru_cache(maxsize=64)
def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(secret)
