"""What the doctor says about the payload keys and the open workflows that need them."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orderfleet.temporal.payload_keys import PayloadKey, PayloadKeys
from orderfleet_cli.doctor.check_payload_keys import Needs, judge

_NOW = PayloadKey("now", b"1" * 32)
_LATER = PayloadKey("later", b"2" * 32, time.time() + 3600)
_OLD, _NEW, _PLAIN = Needs(frozenset({"old"})), Needs(frozenset({"now"})), Needs(plain=True)
_BOTH = Needs(frozenset({"now", "old"}))


@pytest.mark.parametrize(
    ("keys", "sample", "ok", "found"),
    [
        ([], [], True, "off: Temporal stores payloads in clear"),
        ([], [_PLAIN], True, "off: Temporal stores payloads in clear"),
        (
            [],
            [_PLAIN, _NEW],
            False,
            (
                "keys that 1 of 2 open workflows need are not here: "
                "ORDERFLEET_PAYLOAD_KEYS_FILE is not set (now)"
            ),
        ),
        ([_NOW], [], True, "key now encrypts; no workflow is open"),
        (
            [_NOW],
            [_NEW, _NEW],
            True,
            "key now encrypts; the file has the keys of 2 open workflows",
        ),
        (
            [_NOW],
            [_NEW, _OLD, _BOTH],
            False,
            "keys that 2 of 3 open workflows need are not in the file (old)",
        ),
        ([_NOW], [_NEW, _PLAIN], False, "1 of 2 open workflows have payloads in clear"),
        (
            [_LATER],
            [_PLAIN],
            True,
            "no key encrypts yet; the file has the keys of 1 open workflows",
        ),
    ],
)
def test_the_doctor_names_what_is_wrong_with_the_keys(
    keys: Sequence[PayloadKey], sample: Sequence[Needs], ok: bool, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text("".join(f"{key}\n" for key in keys))
    finding = judge(PayloadKeys(path if keys else None), sample)
    assert (finding.name, finding.ok, finding.found) == ("payload keys", ok, found)
    assert ok or finding.fix
