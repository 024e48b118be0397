import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderfleet.domain.contract import Reason
from orderfleet.domain.text import MAX_PRINTABLE, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ünï côde, naïve\xa0!", "Ünï côde, naïve\xa0!"),
        ("two\nlines\tand \x1b[31m", "two lines and  [31m"),
        ("a\u202eb\u200bc\xad", "a\ufffdb\ufffdc\ufffd"),
        # A joiner belongs to its word.
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
        ("half \ud83d", "half \ufffd"),
        ("x" * 600, "x" * MAX_PRINTABLE),
    ],
)
def test_a_text_is_fit_to_be_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_a_reason(text: str) -> None:
    shown = printable(text)
    assert msgspec.json.decode(msgspec.json.encode(shown), type=Reason) == shown
    assert printable(shown) == shown
