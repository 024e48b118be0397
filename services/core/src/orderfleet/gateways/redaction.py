"""Words that come from outside: decoded, cleaned, rid of an address, and cut."""

import html
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

MASK: Final = "***"
# What is looked at of a text, and of it once it is decoded; a few lines of it are told at most.
_READ: Final = 16_384
_LOOKED_AT: Final = 4_096
# The longest part of an address, with room for what separates its words. Where a text was cut, the
# half of a part may stand at its end, and half a part is not found.
_TAIL: Final = 300
# Text in JSON in a URL in HTML: four layers. What has more of them is not told.
_LAYERS: Final = 6
# Shorter parts are struck out as whole words only: a country's two letters are in many a word.
_LONG: Final = 5
_SHORTEST_WORD: Final = 3
_GERMAN: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "æ": "ae", "å": "aa"})

# However often it was escaped: each layer doubles the backslashes.
_UTF16: Final = re.compile(r"(?:(?:\\+u|%u)[0-9a-f]{4})+", re.IGNORECASE)
_CODE_POINT: Final = re.compile(r"\\+u\{([0-9a-f]{1,6})\}|\\+U([0-9a-f]{8})", re.IGNORECASE)
_BYTES: Final = re.compile(r"(?:(?:\\+x|%)[0-9a-fA-F]{2})+|(?:=[89A-F][0-9A-F]){2,}")
_OCTAL: Final = re.compile(r"(?:\\+[0-3][0-7]{2})+")
_SPACE: Final = re.compile(r"\\+[bfnrt]")
_HEX_MARKS: Final = re.compile(r"\\+[ux]|%u|[%=]", re.IGNORECASE)


def sanitize(text: str, most: int) -> str:
    """Return a text on one line without control, format and unassigned characters, cut.

    Among them are NUL, which Postgres refuses, halves of surrogates, which no encoder takes, and
    the characters that turn the direction of what follows or have no width.

    Args:
        text: any text.
        most: the most bytes that it may take in UTF-8.
    """
    return _on_one_line(text[:_READ]).encode()[:most].decode(errors="ignore").rstrip()


def redact(text: str, most: int, private: Iterable[str] = ()) -> str:
    """Return a text of a stranger, fit to be logged, stored and shown.

    It is decoded first, so that what is private is found in whatever form it comes: as escapes of
    JSON or HTML, percent-encoded, in capitals, in another normal form of Unicode, broken up.

    Args:
        text: what was said.
        most: the most bytes that may be told, in UTF-8.
        private: texts that must not be in it.
    """
    plain = _decoded(text[:_READ])
    if plain is None:
        return "(unreadable)"
    plain = _on_one_line(plain)
    window = plain[:_LOOKED_AT]
    whole = len(text) <= _READ and len(plain) <= _LOOKED_AT
    end = len(window) if whole else max(len(window) - _TAIL, 0)
    return sanitize(_struck(window, end, private), most)


def _on_one_line(text: str) -> str:
    plain = unicodedata.normalize("NFC", "".join(map(_printable, text)))
    return " ".join(plain.split())


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    return "" if category[0] == "C" else character


def _decoded(text: str) -> str | None:
    """Undo layer after layer of escapes; None if there is no end to them."""
    for _ in range(_LAYERS):
        plain = _SPACE.sub(" ", text)
        plain = _UTF16.sub(_from_utf16, plain)
        plain = _CODE_POINT.sub(_from_code_point, plain)
        plain = _BYTES.sub(_from_hex, plain)
        plain = _OCTAL.sub(_from_octal, plain)
        plain = _unbroken(html.unescape(plain))
        if plain == text:
            return plain
        text = plain
    return None


def _from_utf16(found: re.Match[str]) -> str:
    return bytes.fromhex(_HEX_MARKS.sub("", found[0])).decode("utf-16-be", "replace")


def _from_code_point(found: re.Match[str]) -> str:
    number = int(found[1] or found[2], 16)
    return chr(number) if number <= sys.maxunicode else " "


def _from_hex(found: re.Match[str]) -> str:
    return decode_text(bytes.fromhex(_HEX_MARKS.sub("", found[0])))


def _from_octal(found: re.Match[str]) -> str:
    return decode_text(bytes(int(one, 8) for one in found[0].split("\\") if one))


def decode_text(data: bytes) -> str:
    """Decode bytes of an unknown encoding: UTF-8, or else Windows' Latin, which always fits."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _unbroken(text: str) -> str:
    """Mend UTF-8 that was read as Latin: `KÃ¶ln`."""
    if text.isascii():
        return text
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode()
        except UnicodeError:
            continue
    return text


def _struck(text: str, end: int, private: Iterable[str]) -> str:
    """Strike out what is private, up to `end`; what begins before it is found beyond it too."""
    letters, places = _letters(text)
    ranges = sorted(
        (start, stop)
        for part in {part for one in private for part in _parts(one)}
        for start, stop in _found(part, letters, places, text)
    )
    pieces = []
    at = 0
    for start, stop in ranges:
        if start >= at:
            pieces += [text[at : min(start, end)], MASK if start < end else ""]
        at = max(at, stop)
    return "".join([*pieces, text[at:end]])


def _parts(private: str) -> Iterator[str]:
    """Yield what is struck out for a private text: all of it, and its words."""
    for text in (private, private.casefold().translate(_GERMAN)):
        yield _letters(text)[0]
        for word in re.split(r"[\W_]+", text):
            if len(word) >= _SHORTEST_WORD and not word.isdigit():
                yield _letters(word)[0]


def _letters(text: str) -> tuple[str, list[int]]:
    """Return letters and digits alone, alike in all forms, and where in the text each stands."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for letter in unicodedata.normalize("NFKD", character).casefold():
            if letter.isalnum():
                letters.append(letter)
                places.append(place)
    return "".join(letters), places


def _found(part: str, letters: str, places: list[int], text: str) -> Iterator[tuple[int, int]]:
    """Yield where in the text a part stands; a short one as a word only."""
    at = letters.find(part) if part else -1
    while at >= 0:
        start, stop = places[at], places[at + len(part) - 1] + 1
        alone = not text[start - 1 : start].isalnum() and not text[stop : stop + 1].isalnum()
        # Not all scripts have spaces between words.
        if alone or len(part) >= _LONG or not part.isascii():
            yield start, stop
        at = letters.find(part, at + 1)
