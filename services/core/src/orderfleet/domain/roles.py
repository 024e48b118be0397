"""Roles of API keys: what the owner of a key may do."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """A role; each route of the API requires one."""

    PLACE = "place"
    """Place orders."""
    CHANGE = "change"
    """Cancel orders and change their addresses."""
    READ = "read"
    """Read orders, their payments and audit trails."""
    REVIEW = "review"
    """Approve and reject orders."""
    OPERATE = "operate"
    """Operate the fleet; no key has this role unless its entry names it."""


Roles = frozenset[Role]

SEPARATOR: Final = "+"
"""Between the roles of a key."""
DEFAULT: Final[Roles] = frozenset(Role) - {Role.OPERATE}
"""The roles of a key that names none, and of every caller where no key is required."""


def in_order(roles: Roles) -> str:
    """Return the roles as an entry names them."""
    return SEPARATOR.join(role for role in Role if role in roles)
