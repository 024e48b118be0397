"""Good and bad builds of the workers: today's source with an edit.

tests/versions runs them as source trees, tests/cluster makes images of some.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CORE: Final = "core"
ORDER_WORKER: Final = "order_worker"
SHIPPING_WORKER: Final = "shipping_worker"
WORKERS: Final = (ORDER_WORKER, SHIPPING_WORKER)
_PACKAGES: Final = {
    CORE: "orderfleet",
    ORDER_WORKER: "orderfleet_order_worker",
    SHIPPING_WORKER: "orderfleet_shipping_worker",
}


@dataclass(frozen=True)
class Edit:
    """A line of a service's source, and what comes before it."""

    service: str
    file: str
    line: str
    before: tuple[str, ...]

    def apply(self, services: Path) -> Path:
        """Edit a copy of the services' sources; return the file."""
        path = package(services, self.service) / self.file
        lines = path.read_text().splitlines(keepends=True)
        (number,) = (at for at, line in enumerate(lines) if line.strip() == self.line)
        indent = lines[number][: -len(lines[number].lstrip())]
        lines[number:number] = [f"{indent}{line}\n" for line in self.before]
        path.write_text("".join(lines))
        return path


@dataclass(frozen=True)
class Build:
    """Edits of today's source; `migration` is the SQL of one more migration."""

    name: str
    edits: tuple[Edit, ...]
    migration: str = ""

    @property
    def workers(self) -> tuple[str, ...]:
        """The services that run a worker of another build then; core is part of both."""
        edited = {edit.service for edit in self.edits}
        return tuple(worker for worker in WORKERS if {CORE, worker} & edited)

    def apply(self, services: Path) -> list[Path]:
        """Edit a copy of the services' sources; return the edited files."""
        if self.migration:
            migrations = package(services, CORE) / "store/migrations"
            (migrations / "9999_of_a_later_build.sql").write_text(self.migration)
        return [edit.apply(services) for edit in self.edits]


def package(services: Path, service: str) -> Path:
    """Return the package of a service."""
    return services / service / "src" / _PACKAGES[service]


# No timer: of those of a millisecond, some 3 % fired only after 10 s.
_COMMAND: Final = 'workflow.upsert_memo({"build": "a later one"})'

# --- Other commands: orders that began on the build before do not replay on these ----------------

ORDER_COMMANDS: Final = Build(
    "one-more-command",
    (
        Edit(
            ORDER_WORKER,
            "workflow.py",
            "await self._receive()",
            (_COMMAND,),
        ),
    ),
)
SHIPPING_COMMANDS: Final = Build(
    "one-more-shipping-command",
    (
        Edit(
            SHIPPING_WORKER,
            "workflow.py",
            "await self._step(",
            (_COMMAND,),
        ),
    ),
)
BOTH_COMMANDS: Final = Build(
    "new-commands",
    (
        Edit(
            ORDER_WORKER,
            "workflow.py",
            "await self._charge()",
            (_COMMAND,),
        ),
        Edit(
            SHIPPING_WORKER,
            "workflow.py",
            "return ShippingResult(OrderState.FULFILLED, dispatched.tracking, self._steps)",
            (_COMMAND,),
        ),
    ),
)

# --- Another schema: with the migration that it wants, and without -------------------------------

_MOVED_BY: Final = Edit(
    CORE,
    "store/transitions.py",
    "updated_at = clock_timestamp()",
    ("moved_by = 'a later build',",),
)
MIGRATION: Final = Build(
    "migration", (_MOVED_BY,), migration="ALTER TABLE orders ADD COLUMN moved_by text;\n"
)
WRONG_SCHEMA: Final = Build("wrong-schema", (_MOVED_BY,))

# --- Faults --------------------------------------------------------------------------------------

CRASHES_AT_START: Final = Build(
    "crashes-at-start",
    (
        Edit(
            ORDER_WORKER,
            "main.py",
            "settings = load_settings(OrderWorkerSettings, PROGRAM)",
            ('raise RuntimeError("a bad build")',),
        ),
    ),
)
CRASHES: Final = Build(
    "crashes",
    (
        Edit(
            ORDER_WORKER,
            "activities.py",
            "return ReceiveResult(shipping_task_queue=self._shipping_task_queue)",
            ('__import__("os")._exit(1)',),
        ),
    ),
)
# Longer than any test; the SDK cannot interrupt it.
HANGS: Final = Build(
    "hangs",
    (
        Edit(
            ORDER_WORKER,
            "workflow.py",
            "await self._receive()",
            (
                "with workflow.unsafe.sandbox_unrestricted():",
                '    __import__("time").sleep(3600)',
            ),
        ),
    ),
)
DECLINES: Final = Build(
    "declines",
    (
        Edit(
            ORDER_WORKER,
            "activities.py",
            "await self._gateway.charge(charge)",
            (
                "if sum(charge.order_id.encode()) % 10 < 3:",
                '    raise GatewayRefusedError("by a bad build")',
            ),
        ),
    ),
)
# The review is no work: an order of 2.3 s takes 2.9 s then.
SLOW: Final = Build(
    "slow",
    (
        Edit(
            ORDER_WORKER,
            "workflow.py",
            "return await self._ship()",
            (
                "worked = workflow.now() - workflow.info().workflow_start_time",
                "worked -= timedelta(seconds=self._order.review_seconds)",
                "await workflow.sleep(4 * worked)",
            ),
        ),
    ),
)
# The sixth order takes it beyond the chart's limit of 512 MiB.
LEAKS: Final = Build(
    "leaks",
    (
        Edit(
            ORDER_WORKER,
            "activities.py",
            "return ReceiveResult(shipping_task_queue=self._shipping_task_queue)",
            ('vars(self).setdefault("leaked", []).append(b"x" * 2**26)',),
        ),
    ),
)
OTHER_REFUND: Final = Build(
    "other-refund",
    (
        Edit(
            ORDER_WORKER,
            "refund_workflow.py",
            "ended = await workflow.execute_activity_method(",
            (_COMMAND,),
        ),
    ),
)

ALL: Final = (
    ORDER_COMMANDS,
    SHIPPING_COMMANDS,
    BOTH_COMMANDS,
    MIGRATION,
    WRONG_SCHEMA,
    CRASHES_AT_START,
    CRASHES,
    HANGS,
    DECLINES,
    SLOW,
    LEAKS,
    OTHER_REFUND,
)
