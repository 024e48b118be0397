"""The codec: only the ring decrypts what it encrypts; what it cannot read fails as it should."""

from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Header, Memo, Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.common import RawValue
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, ApplicationError

from orderfleet.domain.contract import INVALID_PAYLOAD, OrderInput
from orderfleet.domain.orders import Address, Item
from orderfleet.settings import CommonSettings
from orderfleet.temporal.decoding import decode_message
from orderfleet.temporal.encryption import (
    ENCODING,
    KEY_ID,
    EncryptionCodec,
    configure_data_converter,
)
from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet.temporal.payload_keys import PayloadKey, PayloadKeys, make_key
from orderfleet.temporal.steps import lacks_key

CANARY = "221b Baker Street"
ORDER = OrderInput(payment_id="p", address=Address(CANARY, "London"), items=[Item("A", 1, "2.00")])
OLD, NEW = make_key(), make_key()


def converter(path: Path, *keys: PayloadKey, plain: str = "read") -> DataConverter:
    """Return what a process with these keys uses; without keys, one without a file."""
    settings = CommonSettings(payload_keys_file=str(path) if keys else "", plain_payloads=plain)
    path.write_text("".join(f"{key}\n" for key in keys))
    return configure_data_converter(PayloadKeys.from_settings(settings), settings)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


async def encoded(converter: DataConverter, value: object = ORDER) -> Payload:
    [payload] = await converter.encode([value])
    return payload


async def test_a_payload_names_its_key_and_shows_nothing_else(path: Path) -> None:
    with_keys = converter(path, NEW, OLD)
    payload = await encoded(with_keys)
    assert dict(payload.metadata) == {"encoding": ENCODING, KEY_ID: NEW.id.encode()}
    assert CANARY.encode() not in payload.SerializeToString()
    assert await with_keys.decode([payload], [OrderInput]) == [ORDER]
    # The same value never looks the same.
    assert (await encoded(with_keys)).data != payload.data


async def test_every_key_of_the_ring_decrypts(path: Path) -> None:
    payload = await encoded(converter(path, OLD))
    assert await converter(path, NEW, OLD).decode([payload], [OrderInput]) == [ORDER]


async def test_a_missing_key_is_an_error_that_is_retried(path: Path) -> None:
    payload = await encoded(converter(path, NEW))
    for other in (converter(path, OLD), converter(path)):
        with pytest.raises(PayloadKeyError, match=f"the payload key '{NEW.id}' is missing here"):
            await other.decode([payload], [OrderInput])


async def test_another_key_of_the_same_id_is_an_error_that_is_retried(path: Path) -> None:
    payload = await encoded(converter(path, NEW))
    other = converter(path, PayloadKey(NEW.id, OLD.secret))
    with pytest.raises(PayloadKeyError, match="does not decrypt"):
        await other.decode([payload])


@pytest.mark.parametrize("place", [0, 12, 40, -1])
async def test_a_changed_payload_is_not_read(path: Path, place: int) -> None:
    with_keys = converter(path, NEW)
    payload = await encoded(with_keys)
    data = bytearray(payload.data)
    data[place] ^= 1
    payload.data = bytes(data)
    with pytest.raises(PayloadKeyError, match="does not decrypt"):
        await with_keys.decode([payload])


async def test_a_payload_under_the_name_of_another_key_is_not_read(path: Path) -> None:
    twin = PayloadKey("twin", b"3" * 32)
    payload = await encoded(converter(path, NEW))
    payload.metadata[KEY_ID] = b"twin"
    with pytest.raises(PayloadKeyError):
        await converter(path, NEW, twin).decode([payload])


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata={"encoding": ENCODING}, data=bytes(100)),
        Payload(metadata={"encoding": ENCODING, KEY_ID: b""}, data=bytes(100)),
        Payload(metadata={"encoding": ENCODING, KEY_ID: NEW.id.encode()}, data=bytes(27)),
        Payload(metadata={"encoding": ENCODING, KEY_ID: NEW.id.encode()}),
    ],
)
async def test_what_no_key_can_decrypt_fails_its_own_call_only(
    path: Path, payload: Payload
) -> None:
    with_keys = converter(path, NEW)
    with pytest.raises(ApplicationError) as raised:
        await with_keys.decode([payload], [OrderInput])
    assert (raised.value.type, raised.value.non_retryable) == (INVALID_PAYLOAD, True)
    # As a handler's, without a type: `input_of` refuses it.
    [value] = await with_keys.decode([payload])
    assert isinstance(value, RawValue)
    assert value.payload.data


async def test_plain_payloads_are_read_or_refused(path: Path) -> None:
    plain = await encoded(converter(path))
    assert plain.metadata["encoding"] == b"json/plain"
    assert await converter(path, NEW).decode([plain], [OrderInput]) == [ORDER]
    refusing = converter(path, NEW, plain="refuse")
    with pytest.raises(ApplicationError, match="not encrypted"):
        await refusing.decode([plain], [OrderInput])
    assert await refusing.decode([await encoded(refusing)], [OrderInput]) == [ORDER]


async def test_until_the_time_of_its_only_key_a_process_sends_plain_payloads(path: Path) -> None:
    later = PayloadKey(NEW.id, NEW.secret, 4e9)
    assert (await encoded(converter(path, later))).metadata["encoding"] == b"json/plain"
    payload = await encoded(converter(path, NEW))
    assert await converter(path, later).decode([payload], [OrderInput]) == [ORDER]


async def failure_of(converter: DataConverter, error: BaseException) -> Failure:
    failure = Failure()
    await converter.encode_failure(error, failure)
    return failure


def an_error() -> ApplicationError:
    error = ApplicationError(f"no carrier goes to {CANARY}", [CANARY], type="CarrierRefused")
    error.__cause__ = ValueError(f"{CANARY}: 422")
    return error


async def test_a_failure_shows_its_type_only(path: Path) -> None:
    with_keys = converter(path, NEW)
    failure = await failure_of(with_keys, an_error())
    assert CANARY.encode() not in failure.SerializeToString()
    assert failure.message == failure.cause.message == "Encoded failure"
    assert failure.application_failure_info.type == "CarrierRefused"
    error = await with_keys.decode_failure(failure)
    assert isinstance(error, ApplicationError)
    assert error.message == f"no carrier goes to {CANARY}"
    assert error.details == ([CANARY],)
    assert isinstance(error.__cause__, ApplicationError)
    assert error.__cause__.message == f"{CANARY}: 422"
    # A workflow that fails with what its activity failed with encrypts it again.
    again = await failure_of(with_keys, error)
    assert CANARY.encode() not in again.SerializeToString()
    assert str((await with_keys.decode_failure(again)).__cause__) == f"ValueError: {CANARY}: 422"


@pytest.mark.parametrize("length", [0, 1, 5])
async def test_an_encrypted_failure_fits(path: Path, length: int) -> None:
    error: BaseException = ApplicationError('"\n' * 10_000, ["é" * 150] * 3, type="Away")
    for _ in range(length):
        outer = ApplicationError('"\n' * 10_000, type="Away")
        outer.__cause__ = error
        error = outer
    assert (await failure_of(converter(path, NEW), error)).ByteSize() < 4096


async def test_a_missing_key_is_said_in_clear_text(path: Path) -> None:
    error = ApplicationError("Failed decoding arguments")
    error.__cause__ = PayloadKeyError("the payload key 'k' is missing here")
    failure = await failure_of(converter(path, NEW), error)
    assert failure.message == "Failed decoding arguments"
    assert failure.cause.message == "the payload key 'k' is missing here"
    assert failure.cause.application_failure_info.type == "PayloadKeyError"


async def test_a_raw_message_is_decoded_for_its_reader(path: Path) -> None:
    with_keys = converter(path, NEW)
    secret, header = await encoded(with_keys), await encoded(with_keys)
    event = HistoryEvent()
    started = event.workflow_execution_started_event_attributes
    started.input.CopyFrom(Payloads(payloads=[secret]))
    started.memo.CopyFrom(Memo(fields={"m": secret}))
    started.header.CopyFrom(Header(fields={"h": header}))
    started.continued_failure.CopyFrom(await failure_of(with_keys, an_error()))
    # Nothing happens without the key.
    before = event.SerializeToString(deterministic=True)
    decode_message(converter(path, OLD), event)
    assert event.SerializeToString(deterministic=True) == before
    decode_message(with_keys, event)
    assert CANARY.encode() in started.input.payloads[0].data
    assert CANARY.encode() in started.memo.fields["m"].data
    assert started.header.fields["h"] == header
    assert started.continued_failure.message == f"no carrier goes to {CANARY}"
    assert started.continued_failure.cause.message == f"{CANARY}: 422"
    assert started.continued_failure.application_failure_info.details.payloads[0].data


def test_an_activity_error_is_no_missing_key() -> None:
    error = ActivityError(
        "failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="charge",
        activity_id="1",
        retry_state=None,
    )
    error.__cause__ = an_error()
    assert not lacks_key(error)
    error.__cause__.__cause__ = ApplicationError("missing", type="PayloadKeyError")
    assert lacks_key(error)


async def test_two_tasks_in_a_row_show_that_keys_are_missing(path: Path) -> None:
    foreign, own = await encoded(converter(path, OLD)), await encoded(converter(path, NEW))
    keys = PayloadKeys(path)
    codec = EncryptionCodec(keys)
    # A history of others, and a single message between others, are none.
    for used, payload in (
        *((codec.without_counting(), foreign),) * 3,
        *((codec, foreign), (codec, own)) * 3,
        (codec, foreign),
    ):
        codec.reveal(foreign)
        with suppress(PayloadKeyError):
            await used.decode([payload])
    assert not keys.lacking.is_set()
    with pytest.raises(PayloadKeyError):
        await codec.decode([foreign])
    assert keys.lacking.is_set()
