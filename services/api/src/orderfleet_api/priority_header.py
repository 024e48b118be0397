"""The request header `Priority` (RFC 9218): whether an order is of low importance."""

import re
from typing import Final

_BACKGROUND: Final = "7"
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
# A member of the dictionary, with or without parameters.
_URGENCY: Final = re.compile(r"u=(-?[0-9.]+)[ ]*(?:;.*)?", re.DOTALL)


def is_background(header: str) -> bool:
    """Return whether the header has the urgency 7, which RFC 9218 reserves for background.

    The last `u` counts. What is missing, unknown or malformed is the default urgency, 3, never an
    error: the header is a hint.
    """
    members = (member.strip(" \t") for member in _QUOTED.sub('""', header).split(","))
    urgencies = [match[1] for member in members if (match := _URGENCY.fullmatch(member))]
    return urgencies[-1:] == [_BACKGROUND]
