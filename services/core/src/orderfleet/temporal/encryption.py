"""The payload codec: AES-256-GCM, with the id of the key in each payload's metadata.

Encoding and metadata are those of Temporal's own samples. A worker runs the codec outside of the
workflow's sandbox, and clients run it for everything that they send and receive: inputs, results,
signals, updates, queries, memos, heartbeats, and what `EncodedFailureConverter` moves out of a
failure's clear text.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, PayloadCodec

from orderfleet.settings import CommonSettings
from orderfleet.temporal.converter import UNREADABLE, make_data_converter
from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet.temporal.payload_keys import PayloadKey, PayloadKeys

ENCODING: Final = b"binary/encrypted"
KEY_ID: Final = "encryption-key-id"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
# Fails its own call only; see PayloadConverter.
_UNREADABLE: Final = Payload(metadata={"encoding": UNREADABLE}, data=b"-")


class EncryptionCodec(PayloadCodec):
    """Encrypts with the first key, decrypts with each.

    Every process has the codec, also without keys: then it sends payloads plain, and an encrypted
    one fails the task, which Temporal retries until a worker with the key takes it.
    """

    def __init__(self, keys: PayloadKeys, *, refuse_plain: bool = False) -> None:
        """Take the keys.

        Args:
            keys: the ring of the process.
            refuse_plain: make plain payloads unreadable, instead of reading them.
        """
        self._keys = keys
        self._refuse_plain = refuse_plain

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt the payloads, if there is a key."""
        key = self._keys.ring().current()
        return list(payloads) if key is None else [_encrypt(key, payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt the payloads that are encrypted.

        A plain one that is refused and one that no key can decrypt become unreadable payloads,
        which fail their own call only.

        Raises:
            PayloadKeyError: a payload's key is missing or wrong here.
        """
        return [self._decode(payload) for payload in payloads]

    def reveal(self, payload: Payload) -> Payload:
        """Return a payload for people to read: decrypted if there is the key, else as it is."""
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        try:
            return self._decrypted(payload)
        except PayloadKeyError:
            return payload

    def _decode(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") == ENCODING:
            return self._decrypted(payload)
        return _UNREADABLE if self._refuse_plain else payload

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = payload.metadata.get(KEY_ID, b"")
        if not key_id or len(payload.data) < _NONCE_BYTES + _TAG_BYTES:
            return _UNREADABLE
        name = key_id.decode(errors="replace")
        key = self._keys.find(name)
        if key is None:
            raise PayloadKeyError(f"the payload key {name[:64]!r} is missing here")
        return _decrypt(key, payload)


def make_codec(keys: PayloadKeys, settings: CommonSettings) -> EncryptionCodec:
    """Return the codec that the settings ask for."""
    return EncryptionCodec(keys, refuse_plain=settings.plain_payloads == "refuse")


def configure_data_converter(keys: PayloadKeys, settings: CommonSettings) -> DataConverter:
    """Return the data converter of a client: JSON, encrypted if there are keys."""
    return make_data_converter(make_codec(keys, settings), encode_failures=keys.on)


def _encrypt(key: PayloadKey, payload: Payload) -> Payload:
    nonce = os.urandom(_NONCE_BYTES)
    key_id = key.id.encode()
    sealed = _cipher(key.secret).encrypt(nonce, payload.SerializeToString(), _bound(key_id))
    return Payload(metadata={"encoding": ENCODING, KEY_ID: key_id}, data=nonce + sealed)


def _decrypt(key: PayloadKey, payload: Payload) -> Payload:
    nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
    try:
        plain = _cipher(key.secret).decrypt(nonce, sealed, _bound(key.id.encode()))
        return Payload.FromString(plain)
    except (InvalidTag, DecodeError):
        # Tampered with, or the key here is another one of the same id: a right worker may read it.
        raise PayloadKeyError(f"the payload key {key.id!r} does not decrypt a payload") from None


def _bound(key_id: bytes) -> bytes:
    """Return the associated data: the metadata cannot be changed unnoticed."""
    return ENCODING + b"\0" + key_id


@lru_cache(maxsize=64)
def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(secret)
