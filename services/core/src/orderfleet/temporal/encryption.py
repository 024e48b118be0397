"""The payload codec: AES-256-GCM, with the id of the key in each payload's metadata.

Encoding and metadata are those of Temporal's own samples. A worker runs the codec outside of the
workflow's sandbox, and clients run it for everything that they send and receive: inputs, results,
signals, updates, queries, memos, heartbeats, and what `EncodedFailureConverter` moves out of a
failure's clear text.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import DataConverter, PayloadCodec

from orderfleet.settings import CommonSettings
from orderfleet.temporal.converter import UNREADABLE, make_data_converter
from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet.temporal.payload_keys import PayloadKey, PayloadKeys

ENCODING: Final = b"binary/encrypted"
KEY_ID: Final = "encryption-key-id"
# Nonce and tag.
_SHORTEST: Final = 28
# Fails its own call only; see PayloadConverter.
_UNREADABLE: Final = Payload(metadata={"encoding": UNREADABLE}, data=b"-")


class EncryptionCodec(PayloadCodec):
    """Encrypts with the first key, decrypts with each.

    Every process has the codec, also without keys: then it sends payloads plain, and an encrypted
    one fails the task, which Temporal retries until a worker with the key takes it.
    """

    def __init__(
        self, keys: PayloadKeys, *, refuse_plain: bool = False, counts: bool = True
    ) -> None:
        """Take the keys.

        Args:
            keys: the ring of the process.
            refuse_plain: make plain payloads unreadable, instead of reading them.
            counts: let missing keys show that this process lacks those of its tasks.
        """
        self.keys = keys
        self._refuse_plain = refuse_plain
        self._counts = counts

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt the payloads, if there is a key."""
        key = self.keys.ring().current()
        return list(payloads) if key is None else [_encrypt(key, payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt the payloads that are encrypted.

        A plain one that is refused and one that no key can decrypt become unreadable payloads,
        which fail their own call only.

        Raises:
            PayloadKeyError: a payload's key is missing or wrong here.
        """
        try:
            return [self._decode(payload) for payload in payloads]
        except PayloadKeyError:
            if self._counts:
                self.keys.count_missing()
            raise

    def without_counting(self) -> "EncryptionCodec":
        """Return the codec for histories, whose keys say nothing of this process's tasks."""
        return EncryptionCodec(self.keys, refuse_plain=self._refuse_plain, counts=False)

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
        if not key_id or len(payload.data) < _SHORTEST:
            return _UNREADABLE
        plain = _decrypt(self.keys, key_id.decode(errors="replace"), payload.data)
        if self._counts:
            self.keys.count_read()
        return plain


def configure_data_converter(keys: PayloadKeys, settings: CommonSettings) -> DataConverter:
    """Return the data converter of a client: JSON, encrypted if there are keys."""
    codec = EncryptionCodec(keys, refuse_plain=settings.plain_payloads == "refuse")
    return make_data_converter(codec, encode_failures=keys.on)


def history_converter(client: Client) -> DataConverter:
    """Return a client's data converter for the histories of other workflows."""
    converter = client.data_converter
    codec = converter.payload_codec
    if not isinstance(codec, EncryptionCodec):
        return converter
    return replace(converter, payload_codec=codec.without_counting())


def keys_of(client: Client) -> PayloadKeys:
    """Return the payload keys of a client, none if it does not encrypt."""
    codec = client.data_converter.payload_codec
    return codec.keys if isinstance(codec, EncryptionCodec) else PayloadKeys()


def _encrypt(key: PayloadKey, payload: Payload) -> Payload:
    from orderfleet.temporal.aes_gcm import seal  # noqa: PLC0415 (its size)

    key_id = key.id.encode()
    sealed = seal(key.secret, payload.SerializeToString(), _bound(key_id))
    return Payload(metadata={"encoding": ENCODING, KEY_ID: key_id}, data=sealed)


def _decrypt(keys: PayloadKeys, key_id: str, data: bytes) -> Payload:
    key = keys.find(key_id)
    if key is None:
        raise PayloadKeyError(f"the payload key {key_id[:64]!r} is missing here")
    from orderfleet.temporal.aes_gcm import unseal  # noqa: PLC0415 (its size)

    try:
        return Payload.FromString(unseal(key.secret, data, _bound(key_id.encode())))
    except (ValueError, DecodeError):
        # Tampered with, or the key here is another one of the same id: a right worker may read it.
        raise PayloadKeyError(f"the payload key {key_id!r} does not decrypt a payload") from None


def _bound(key_id: bytes) -> bytes:
    """Return the associated data: the metadata cannot be changed unnoticed."""
    return ENCODING + b"\0" + key_id
