"""A finding of `orderfleet doctor`: what was checked, the result, and the fix."""

from msgspec import Struct


class Finding(Struct, frozen=True):
    """The result of one check: what it found and, unless that is good, how to fix it.

    `ok` is None if the check could not be made from here.
    """

    name: str
    ok: bool | None
    found: str
    fix: str = ""
