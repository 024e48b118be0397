"""Medians with their spread."""

from collections.abc import Iterable, Sequence
from math import ceil
from statistics import median
from typing import Final

from msgspec import Struct

_SHARES: Final = (0.5, 0.95, 0.99)


class Spread(Struct, frozen=True):
    """The least, the middle and the most of several runs."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        ranked = sorted(values)
        return cls(ranked[0], median(ranked), ranked[-1])

    def shown(self, digits: int = 1, scale: float = 1.0) -> str:
        low, middle, high = (
            f"{one * scale:.{digits}f}" for one in (self.low, self.median, self.high)
        )
        return middle if low == high else f"{middle} ({low} to {high})"


def ratio(ones: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the ratio of two figures, run by run: what drifts from run to run is in both."""
    return Spread.of(one / other for one, other in zip(ones, others, strict=True))


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the nearest-rank percentiles, none of nothing."""
    ranked = sorted(values)
    return {
        f"p{share * 100:g}": ranked[ceil(share * len(ranked)) - 1] for share in _SHARES if ranked
    }
