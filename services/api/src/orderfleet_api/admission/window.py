"""Values with their times, of the last seconds only."""

from collections import deque
from typing import TypeVar

T = TypeVar("T")


def append(window: deque[tuple[float, T]], now: float, value: T, seconds: float) -> None:
    """Append a value to those of the last seconds."""
    window.append((now, value))
    while window[0][0] < now - seconds:
        window.popleft()
