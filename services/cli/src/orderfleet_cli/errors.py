"""What a user is told in one line."""


class CommandError(Exception):
    """A failure that is expected to happen; its message is one line."""
