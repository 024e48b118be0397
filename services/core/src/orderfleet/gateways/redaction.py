"""Text from outside: decode it, remove control characters, mask an address, truncate."""

import html
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from orderfleet.environment import MASK

# Limits of a reason and of a tracking number.
REASON_BYTES: Final = 300
TRACKING_BYTES: Final = 200

# Characters examined of a text, and of its decoded form; the result has a few lines at most.
_MOST_INPUT: Final = 16_384
_MOST_DECODED: Final = 4_096
# The longest part of an address, with room for separators between its words. A truncated text may
# end with half a part, which the search does not match, so its end is dropped.
_TAIL: Final = 300
# Text in JSON in a URL in HTML has four layers. More than this is refused.
_MOST_LAYERS: Final = 6
# Shorter parts are masked as whole words only: a country's two letters match inside words.
_MATCHED_INSIDE_WORDS: Final = 5
_SHORTEST_WORD: Final = 3
_TRANSLITERATION: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "æ": "ae", "å": "aa"}
)

# Any number of backslashes: each layer of escaping doubles them.
_UTF16: Final = re.compile(r"(?:(?:\\+u|%u)[0-9a-f]{4})+", re.IGNORECASE)
_CODE_POINT: Final = re.compile(r"\\+u\{([0-9a-f]{1,6})\}|\\+U([0-9a-f]{8})", re.IGNORECASE)
_BYTES: Final = re.compile(r"(?:(?:\\+x|%)[0-9a-fA-F]{2})+|(?:=[89A-F][0-9A-F]){2,}")
_OCTAL: Final = re.compile(r"(?:\\+[0-3][0-7]{2})+")
_SPACE: Final = re.compile(r"\\+[bfnrt]")
_HEX_MARKS: Final = re.compile(r"\\+[ux]|%u|[%=]", re.IGNORECASE)


def sanitize(text: str, max_bytes: int) -> str:
    """Return the text on one line, truncated, without control, format and unassigned characters.

    These include NUL, which Postgres refuses, unpaired surrogates, which no encoder accepts, and
    characters that change the direction of text or have no width.

    Args:
        text: any text.
        max_bytes: the limit in UTF-8.
    """
    line = _single_line(text[:_MOST_INPUT])
    return line.encode()[:max_bytes].decode(errors="ignore").rstrip()


def redact(
    text: str, max_bytes: int, private: Iterable[str] = (), secrets: Iterable[str] = ()
) -> str:
    """Return an untrusted text so that it can be logged, stored and shown.

    The text is decoded first, so that the private parts match in every form: escaped for JSON or
    HTML, percent-encoded, in capitals, in another normal form of Unicode, split up.

    Args:
        text: the untrusted text.
        max_bytes: the limit in UTF-8.
        private: texts to mask, and their words.
        secrets: texts to mask as a whole.
    """
    parts = set(_parts(private, secrets))

    def strike(stage: str) -> str:
        return _mask(stage, len(stage), parts)

    # Struck out at each stage too: what follows a name, or what looks escaped in it, may turn it
    # into another one when it is decoded (`CAFÉ…` is read as UTF-8, and so `CAFɅ`).
    plain = _unescape(text[:_MOST_INPUT], strike)
    if plain is None:
        return "(unreadable)"
    plain = _single_line(plain)
    window = plain[:_MOST_DECODED]
    whole = len(text) <= _MOST_INPUT and len(plain) <= _MOST_DECODED
    end = len(window) if whole else max(len(window) - _TAIL, 0)
    return sanitize(_mask(window, end, parts), max_bytes)


def _single_line(text: str) -> str:
    plain = unicodedata.normalize("NFC", "".join(map(_printable, text)))
    return " ".join(plain.split())


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    return "" if category[0] == "C" else character


def _unescape(text: str, strike: Callable[[str], str] = str) -> str | None:
    """Undo layer after layer of escapes, each stage struck; None if there are too many."""
    for _ in range(_MOST_LAYERS):
        text = strike(text)
        plain = _SPACE.sub(" ", text)
        plain = _UTF16.sub(_from_utf16, plain)
        plain = _CODE_POINT.sub(_from_code_point, plain)
        plain = _BYTES.sub(_from_hex, plain)
        plain = _OCTAL.sub(_from_octal, plain)
        plain = _fix_mojibake(strike(html.unescape(plain)))
        if plain == text:
            return plain
        text = plain
    return None


def _from_utf16(match: re.Match[str]) -> str:
    return bytes.fromhex(_HEX_MARKS.sub("", match[0])).decode("utf-16-be", "replace")


def _from_code_point(match: re.Match[str]) -> str:
    number = int(match[1] or match[2], 16)
    return chr(number) if number <= sys.maxunicode else " "


def _from_hex(match: re.Match[str]) -> str:
    return decode_text(bytes.fromhex(_HEX_MARKS.sub("", match[0])))


def _from_octal(match: re.Match[str]) -> str:
    return decode_text(bytes(int(digits, 8) for digits in match[0].split("\\") if digits))


def decode_text(data: bytes) -> str:
    """Decode bytes of an unknown encoding: UTF-8, else Windows-1252, which never fails."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _fix_mojibake(text: str) -> str:
    """Repair UTF-8 that was decoded as Latin-1: `KÃ¶ln`."""
    if text.isascii():
        return text
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode()
        except UnicodeError:
            continue
    return text


def _mask(text: str, end: int, parts: Collection[str]) -> str:
    """Mask the parts up to `end`; a match may begin before it and end after it."""
    letters, places = _letters(text)
    ranges = sorted(
        (start, stop) for part in parts for start, stop in _matches(part, letters, places, text)
    )
    pieces = []
    at = 0
    for start, stop in ranges:
        if start >= at:
            pieces += [text[at : min(start, end)], MASK if start < end else ""]
        at = max(at, stop)
    return "".join([*pieces, text[at:end]])


def _parts(private: Iterable[str], secrets: Iterable[str]) -> Iterator[str]:
    """Yield the letters of what to mask: of all texts, and of private ones the words too."""
    for secret in secrets:
        for text in _readings(secret):
            yield _letters(text)[0]
    for whole in private:
        for text in _readings(whole):
            yield from _words(text)
            yield from _words(text.casefold().translate(_TRANSLITERATION))


def _readings(text: str) -> Iterator[str]:
    """Yield a text, and what is left of it when it is decoded though it only looks escaped.

    `M&amp;M Way`, and letters that are UTF-8 when they come as bytes of Latin-1.
    """
    yield text
    yield _unescape(text) or ""
    with suppress(UnicodeEncodeError):
        yield _unescape(quote(text.encode("latin-1"))) or ""


def _words(text: str) -> Iterator[str]:
    yield _letters(text)[0]
    for word in re.split(r"[\W_]+", text):
        if len(word) >= _SHORTEST_WORD and not word.isdigit():
            yield _letters(word)[0]


def _letters(text: str) -> tuple[str, list[int]]:
    """Return letters and digits only, in one normal form, and the place of each in the text."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for letter in unicodedata.normalize("NFKD", character).casefold():
            if letter.isalnum():
                letters.append(letter)
                places.append(place)
    return "".join(letters), places


def _matches(part: str, letters: str, places: list[int], text: str) -> Iterator[tuple[int, int]]:
    """Yield where in the text a part occurs; a short one as a whole word only."""
    at = letters.find(part) if part else -1
    while at >= 0:
        start, stop = places[at], places[at + len(part) - 1] + 1
        around = text[max(start - 1, 0) : start] + text[stop : stop + 1]
        whole_word = not _letters(around)[0]
        # Not all scripts separate words by spaces.
        if whole_word or len(part) >= _MATCHED_INSIDE_WORDS or not part.isascii():
            yield start, stop
        at = letters.find(part, at + 1)
