"""Text from outside has visible characters, and no character that is invisible or has effects.

Carriers print such texts, people decide by them, logs and terminals show them. The pattern is the
whole rule, and part of the OpenAPI document. Characters that Unicode has not assigned are accepted:
the set differs between versions of Python, and a workflow must decide the same on all of them.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

# The last two code points of each plane are noncharacters. The planes of private use are
# refused as a whole.
_PLANES: Final = range(0x10000, 0xF0000, 0x10000)
# Refused everywhere, by Unicode's categories: controls (Cc), format characters (Cf: bidirectional,
# zero-width, tags), separators of lines and paragraphs (Zl, Zp), private use (Co), noncharacters,
# and code points reserved for invisible characters. U+3164 and U+FFA0 are invisible letters.
_REFUSED: Final = (
    r"\x00-\x1f\x7f-\x9f\xad"
    r"\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    r"\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ue000-\uf8ff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    # Literally: beyond U+FFFF no escape is legal in both Python and ECMAScript.
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff\U000f0000-\U0010ffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in _PLANES)
)
# Persian, the scripts of India and emoji need two format characters, the (non-)joiners U+200C and
# U+200D. They may follow any character but one of ASCII or another joiner, so that names can be
# spelt and codes cannot be disguised.
_JOINERS: Final = r"\u200c\u200d"
# Characters that leave a text blank: spaces, joiners, marks without a letter.
_INVISIBLE: Final = (
    r"\s\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\u2800\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef"
)
_PROPER: Final = rf"(?!.*(?:^|[\x00-\x7f{_JOINERS}])[{_JOINERS}])[^{_REFUSED}]*$(?!\n)"

# Negative lookaheads: a generator of matching texts skips them, but spells out positive ones.
TEXT_PATTERN: Final = rf"^(?![{_INVISIBLE}]*$){_PROPER}"
OPTIONAL_TEXT_PATTERN: Final = rf"^(?![{_INVISIBLE}]+$){_PROPER}"
_OPTIONAL_TEXT: Final = re.compile(OPTIONAL_TEXT_PATTERN)
_UNPRINTABLE: Final = re.compile(rf"[{_REFUSED}\ud800-\udfff]")
# Characters of a text that `printable` returns.
MAX_PRINTABLE: Final = 500

Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=TEXT_PATTERN)]
OptionalText = Annotated[str, Meta(max_length=200, pattern=OPTIONAL_TEXT_PATTERN)]
Explanation = Annotated[str, Meta(max_length=500, pattern=OPTIONAL_TEXT_PATTERN)]


def check_texts(value: Struct) -> None:
    """Check every text of a message whose types have no pattern.

    Raises:
        ValueError: a text is invalid; the message has its path, as msgspec's have.
    """
    for path, text in _texts("$", msgspec.to_builtins(value)):
        if text.isascii() and text.isprintable() and not text.isspace():
            continue
        if _OPTIONAL_TEXT.search(text) is None:
            raise ValueError(f"Expected visible text without control characters - at `{path}`")


def printable(text: str) -> str:
    """Return an untrusted text fit to be stored and shown: truncated, and always a `Reason`.

    A control character becomes a space; what else is refused in a text, or no encoder accepts,
    becomes U+FFFD.
    """
    return _UNPRINTABLE.sub(_replacement, text[:MAX_PRINTABLE])


def _replacement(found: re.Match[str]) -> str:
    return " " if found[0] <= "\x9f" else "\N{REPLACEMENT CHARACTER}"


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield path, name
            yield from _texts(f"{path}.{name}", member)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _texts(f"{path}[{index}]", member)
