"""What is wrong with a value, in words: msgspec shows the pattern, which can be 600 characters."""

from typing import Any, Final, get_args

from orderfleet.domain.contract import CHANGE_ID_PATTERN
from orderfleet.domain.orders import ID_PATTERN, Money, NewCurrency
from orderfleet.domain.text import OPTIONAL_TEXT_PATTERN, TEXT_PATTERN
from orderfleet_api.listing import CURSOR_PATTERN
from orderfleet_api.parameters import (
    EVENT_NUMBER_PATTERN,
    EVENT_TYPE_PATTERN,
    FEED_CURSOR_PATTERN,
    TENANT_PATTERN,
)


def _pattern(annotated: Any) -> str:
    """Return the pattern of a type that is annotated with one."""
    pattern: str = get_args(annotated)[1].pattern
    return pattern


_TEXT: Final = "Expected visible text; control and invisible characters are not allowed"
WORDS: Final = {
    ID_PATTERN: "Expected up to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, first a letter or digit",
    CHANGE_ID_PATTERN: "Expected visible ASCII characters without spaces",
    CURSOR_PATTERN: "Expected the `next` of another page",
    EVENT_NUMBER_PATTERN: "Expected the number of an event",
    EVENT_TYPE_PATTERN: "Expected the type of an event",
    FEED_CURSOR_PATTERN: "Expected the `cursor` of a page or the `id` of a message",
    TENANT_PATTERN: "Expected the name of an API key",
    TEXT_PATTERN: _TEXT,
    OPTIONAL_TEXT_PATTERN: _TEXT,
    _pattern(NewCurrency): "Expected an ISO 4217 currency code such as `USD`",
    _pattern(Money): "Expected an amount such as `9.95`: digits, and up to two decimal places",
}
_BY_MESSAGE: Final = {
    f"Expected `str` matching regex {pattern!r}": words for pattern, words in WORDS.items()
}


def in_words(message: str) -> str:
    """Return msgspec's message, or words in the place of a pattern."""
    return _BY_MESSAGE.get(message, message)
