"""What a kill costs an order in seconds, told at the end of the run."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Costs:
    """Seconds of disturbed orders beside those of undisturbed ones of the same kind."""

    rows: list[tuple[str, float, float]] = field(default_factory=list)

    def add(self, what: str, undisturbed: float, disturbed: float) -> None:
        self.rows.append((what, undisturbed, disturbed))

    def table(self) -> Iterator[str]:
        if self.rows:
            yield f"{'':<52} {'alone':>6} {'killed':>6} {'cost':>6}"
        for what, undisturbed, disturbed in self.rows:
            cost = disturbed - undisturbed
            yield f"{what:<52} {undisturbed:>5.1f}s {disturbed:>5.1f}s {cost:>5.1f}s"
