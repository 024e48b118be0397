"""What the SDK's client leaves encoded: raw histories and descriptions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message
from temporalio.api.common.v1 import Header, Payload, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.converter import DataConverter

from orderfleet.temporal.encryption import EncryptionCodec, history_converter
from orderfleet.temporal.failure_converter import PayloadKeyError

T = TypeVar("T")


async def decode_first(client: Client, payloads: Sequence[Payload], type_: type[T]) -> T | None:
    """Return the first payload of a history as a type; None if it is anything else.

    Any client may have written it: there may be no payload, an unknown encoding, or an encoding
    whose converter raises any exception or ignores the type.

    Raises:
        PayloadKeyError: its key is missing here, so that it proves nothing: neither an order nor
            the lack of one.
    """
    try:
        value = (await history_converter(client).decode(payloads[:1], [type_]))[0]
    except PayloadKeyError:
        raise
    except Exception:  # noqa: BLE001 (converters may raise anything)
        return None
    return value if isinstance(value, type_) else None


def decode_message(converter: DataConverter, message: Message) -> None:
    """Decrypt the payloads within a message of Temporal's API, and the texts of its failures.

    What has no key here stays as it is.
    """
    codec = converter.payload_codec
    if not isinstance(codec, EncryptionCodec):
        return
    for part in _parts(message):
        if isinstance(part, Payload):
            part.CopyFrom(codec.reveal(part))
        elif part.HasField("encoded_attributes"):
            part.encoded_attributes.CopyFrom(codec.reveal(part.encoded_attributes))
            _restore(converter, part)


def payloads_of(message: Message) -> Iterator[Payload]:
    """Yield the payloads within a message, as Temporal stores them; none of its headers."""
    for part in _parts(message):
        if isinstance(part, Payload):
            yield part
        elif part.HasField("encoded_attributes"):
            yield part.encoded_attributes


def _restore(converter: DataConverter, failure: Failure) -> None:
    """Put message and stack trace where a reader looks for them."""
    attributes = converter.payload_converter.from_payloads([failure.encoded_attributes])[0]
    if isinstance(attributes, dict):
        failure.message = str(attributes.get("message", failure.message))
        failure.stack_trace = str(attributes.get("stack_trace", failure.stack_trace))


def _parts(message: Message) -> Iterator[Payload | Failure]:
    """Yield the payloads and failures of a message, but for headers and search attributes."""
    if isinstance(message, Payload):
        yield message
        return
    if isinstance(message, Header | SearchAttributes):
        return
    if isinstance(message, Failure):
        yield message
    for field, value in message.ListFields():
        # The encoded attributes of a failure go with it.
        if field.message_type is None or field.name == "encoded_attributes":
            continue
        for part in _values(value):
            if isinstance(part, Message):
                yield from _parts(part)


def _values(value: Any) -> Iterable[Any]:
    """Return the messages of a field: a map's values, a list's elements, or the only one."""
    if isinstance(value, Message):
        return [value]
    return value.values() if isinstance(value, Mapping) else value
