"""What tests keep for the end of the run."""

from typing import Final

PROPERTY: Final = "failover"
