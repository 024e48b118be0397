"""Text from outside: an address is masked in whatever form it comes."""

import html
import json
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orderfleet.environment import MASK
from orderfleet.gateways.redaction import redact, sanitize

PARTS = ("Königstraße 12", "Köln", "Jörg Li", "NRW", "50667", "CAFÉ", "")
TEXT = "cannot go to Königstraße 12, 50667 Köln (Jörg Li), NRW: try again"
MASKED = "cannot go to ***, *** *** (***), ***: try again"


def octal(text: str) -> str:
    return "".join(
        letter if letter.isascii() else "".join(f"\\{byte:03o}" for byte in letter.encode())
        for letter in text
    )


def entities(text: str) -> str:
    return "".join(letter if letter.isascii() else f"&#x{ord(letter):X};" for letter in text)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "wide": lambda text: text.translate({n: n + 0xFEE0 for n in range(0x41, 0x7B)}),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "HTML": entities,
    "HTML by name": lambda text: text.replace("ö", "&ouml;").replace("ß", "&szlig;"),
    "JSON in HTML": lambda text: html.escape(json.dumps(text)[1:-1]),
    "JSON in HTML in a URL": lambda text: quote(html.escape(json.dumps(text)[1:-1])),
    "a URL": quote,
    "a URL in Latin": lambda text: quote(text.encode("latin-1")),
    "bytes": lambda text: repr(text.encode())[2:-1],
    "octal": octal,
    "UTF-8 read as Latin": lambda text: text.encode().decode("cp1252"),
    "JavaScript": lambda text: text.replace("ö", "\\u{F6}").replace("ß", "\\u{df}"),
    "zero width": lambda text: text.replace("ö", "ö\u200b\u00ad"),
    "wider": lambda text: text.replace(" ", "\u00a0 \t"),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_address_is_masked_in_every_form(form: str) -> None:
    redacted = unicodedata.normalize("NFKC", redact(FORMS[form](TEXT), 300, PARTS))
    assert " ".join(redacted.split()) == MASKED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT.upper(), MASKED.upper()),
        (quote_plus(TEXT), MASKED.replace(" ", "+")),
        ("KOENIGSTRASSE 12, KOELN, JOERG LI", "***, ***, ***"),
        ("Königstraße is closed, dear Jörg", "*** is closed, dear ***"),
        ("no such place as koln", "no such place as ***"),
        # Short ones as words only: the region is in no other word, and the number in no sum.
        ("nrwx, at 12", "nrwx, at 12"),
        ("NRW.", "***."),
        # What follows a name is no part of it, even where both look like UTF-8 read as Latin.
        ("CAFÉ… is closed", "***… is closed"),
        ("CAFÉ— is closed", "***— is closed"),
    ],
)
def test_in_other_words(text: str, expected: str) -> None:
    assert redact(text, 300, PARTS) == expected


@given(
    st.lists(st.text(min_size=1, max_size=30), max_size=4),
    st.text(max_size=400),
    st.integers(1, 300),
)
def test_whatever_the_text_it_is_printable_and_short(
    parts: list[str], text: str, most: int
) -> None:
    redacted = redact(text, most, parts)
    assert len(redacted.encode()) <= max(most, len("(unreadable)"))
    assert all(unicodedata.category(letter)[0] != "C" for letter in redacted)
    assert redacted == " ".join(redacted.split())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name",
    ["000Âª", "Rue %C3%89mile", "M&amp;M Way", "Kai \\u0034\\u0032", "C:\\new\\table"],
)
def test_of_a_name_that_looks_escaped_nothing_is_left(name: str, form: str) -> None:
    try:
        text = FORMS[form](f"{name} {name}")
    except UnicodeError:
        return
    for redacted in (redact(text, 300, [name]), redact(text, 300, secrets=[name])):
        assert redacted.count(MASK) >= 2
        left = unicodedata.normalize("NFKC", redacted)
        assert not [word for word in re.findall(r"[^\W_]{3,}", name) if word in left]


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=5, max_size=60),
    st.sampled_from(list(FORMS)),
)
@example("000Âª", "as it is")
@example("0Âª0ª", "a URL in Latin")
@example("0000\ufe70", "as it is")
def test_any_name_is_struck_out(name: str, form: str) -> None:
    try:
        text = FORMS[form](f"dear {name}, no")
    except UnicodeError:
        return
    assert MASK in redact(text, 300, [name])


@pytest.mark.parametrize("before", [0, 3_900, 4_090, 16_380, 100_000])
def test_no_half_of_an_address_is_left_where_a_text_is_cut(before: int) -> None:
    for filler in ("x", "\x00", "&amp;"):
        redacted = redact(filler * before + "Königstraße 12", 10_000, PARTS)
        assert "nigs" not in redacted


def test_layers_without_end_are_not_told() -> None:
    text = "K\u00f6ln"
    for _ in range(20):
        text = quote(text)
    assert redact(text, 300, PARTS) == "(unreadable)"


def test_cleaned_keeps_what_can_be_read() -> None:
    assert sanitize("a\x00b\u202ec\ud800d\nx\u2028y\U000e0041\uffff", 100) == "a bcd x y"
    assert sanitize("ééé", 5) == "éé"
    assert sanitize("ab cd", 3) == "ab"
    assert sanitize("\x00" * 1_000_000, 100) == ""
