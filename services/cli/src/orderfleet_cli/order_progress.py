"""The progress of an order, from its status."""

from dataclasses import dataclass

from orderfleet_cli.api_client import Json


@dataclass
class OrderProgress:
    """A row of a board."""

    state: str = ""
    step: str = ""
    attempts: int = 0
    seconds_left: float = 0.0

    def update(self, status: Json) -> bool:
        """Update from a status; return whether the state changed."""
        before = self.state
        self.state = status["state"]
        self.step = status.get("step") or ""
        steps = status.get("steps") or {}
        attempts = status.get("shipping_attempts", 0) if self.step == "ship" else 0
        self.attempts = attempts or steps.get(self.step, {}).get("attempts", 0)
        self.seconds_left = status.get("seconds_left") or 0.0
        return self.state != before

    @property
    def left(self) -> str:
        """The time left, for people; empty if no step is under way."""
        return f"{self.seconds_left:.1f} s" if self.step and self.seconds_left else ""
