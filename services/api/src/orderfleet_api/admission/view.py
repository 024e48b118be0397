"""Admission as the board shows it: of this process, since its start."""

from typing import Annotated

from msgspec import Meta, Struct


class TenantView(Struct, frozen=True):
    """The orders of the owner of an API key."""

    tenant: Annotated[str, Meta(description="The key's name; (none) without keys.")]
    accepted: int
    waiting: int
    refused: Annotated[dict[str, int], Meta(description="By reason.")]


class AdmissionView(Struct, frozen=True):
    """The limit of this process, and who was refused."""

    on: bool
    limit: Annotated[float, Meta(description="Most orders that may wait.")]
    waiting: Annotated[int, Meta(description="Orders that wait.")]
    standing_wait_seconds: float
    throughput: Annotated[float, Meta(description="Orders a second that wait no longer.")]
    away: Annotated[str, Meta(description="Why every order is refused; empty if it is not.")]
    tenants: list[TenantView]
