"""What the board shows, read once for all who look at it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from socket import gethostname
from time import monotonic
from typing import Annotated, Any, Final, Generic, TypeVar

import structlog
from asyncpg import PostgresError
from litestar.plugins.problem_details import ProblemDetailsException
from msgspec import Meta, Struct
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.domain.policies import FORWARD_SHARE
from orderfleet.store.overview import EndsOfMinute, OrdersNow, read_ends, read_orders_now
from orderfleet.temporal.queue_workers import list_heartbeats
from orderfleet.temporal.task_queues import describe_task_queue, serving_build
from orderfleet.temporal.worker_views import WorkerView, view_workers
from orderfleet_api.admission.view import AdmissionView
from orderfleet_api.backends import Backends, postgres

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

# How old an answer may be. The ends of 15 minutes are 10 ms of Postgres at 20 orders a second.
_ORDERS_SECONDS: Final = 1.0
_QUEUES_SECONDS: Final = 1.0
_ENDS_SECONDS: Final = 5.0
# Far longer than any part takes, shorter than a person waits.
_WITHIN: Final = 2.0
_RPC_WITHIN: Final = timedelta(seconds=_WITHIN)


class QueueView(Struct, frozen=True):
    """A task queue and its workers."""

    task_queue: str
    workflow_backlog: Annotated[int, Meta(description="Tasks that wait for a worker, about.")]
    activity_backlog: int
    backlog_age_seconds: Annotated[float, Meta(description="How long the oldest has waited.")]
    build: Annotated[str, Meta(description="Which new orders go to; empty without versioning.")]
    ramping_build: Annotated[str, Meta(description="Which a share of them goes to, or empty.")]
    pollers: Annotated[int, Meta(description="Workers that polled in the last minutes, about.")]
    workers: Annotated[
        list[WorkerView], Meta(description="Empty with a Temporal before 1.30, too.")
    ]


class Overview(Struct, frozen=True):
    """The fleet at a moment. A part whose source is unavailable is null."""

    process: Annotated[str, Meta(description="The host that answers; `admission` is its own.")]
    deadline_seconds: Annotated[float, Meta(description="The time an order has.")]
    forward_seconds: Annotated[float, Meta(description="After which it goes no further.")]
    orders: OrdersNow | None
    ends: Annotated[
        list[EndsOfMinute] | None, Meta(description="Of the last 15 minutes, the current one last.")
    ]
    queues: list[QueueView] | None
    admission: AdmissionView
    unavailable: Annotated[dict[str, str], Meta(description="Why a part is null, by its name.")]


class Overviews:
    """The overviews of this process: each part is read when somebody asks and the last is old."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._orders = Shared(self._read_orders, _ORDERS_SECONDS)
        self._ends = Shared(self._read_ends, _ENDS_SECONDS)
        self._queues = Shared(self._read_queues, _QUEUES_SECONDS)

    async def get(self) -> Overview:
        """Return the fleet as it was a moment ago."""
        orders, ends, queues = await asyncio.gather(
            self._orders.get(), self._ends.get(), self._queues.get()
        )
        parts: dict[str, _Result[Any]] = {"orders": orders, "ends": ends, "queues": queues}
        deadline = self._backends.settings.order_deadline_seconds
        return Overview(
            process=gethostname(),
            deadline_seconds=deadline,
            forward_seconds=deadline * FORWARD_SHARE,
            orders=orders.value,
            ends=ends.value,
            queues=queues.value,
            admission=self._backends.admission.view(),
            unavailable={name: part.failure for name, part in parts.items() if part.failure},
        )

    async def _read_orders(self) -> OrdersNow:
        async with self._backends.bulkheads.reads:
            with postgres():
                return await read_orders_now(self._backends.pool)

    async def _read_ends(self) -> list[EndsOfMinute]:
        async with self._backends.bulkheads.reads:
            with postgres():
                return await read_ends(self._backends.pool)

    async def _read_queues(self) -> list[QueueView]:
        settings, client = self._backends.settings, self._backends.temporal
        names = dict.fromkeys((settings.order_task_queue, settings.shipping_task_queue))

        async def read() -> list[QueueView]:
            return await asyncio.gather(*(_view_queue(client, name) for name in names))

        return await self._backends.call_temporal(read())


class _Result(Struct, Generic[T], frozen=True):
    """What a read returned, or why it failed; and when."""

    at: float
    value: T | None = None
    failure: str = ""


class Shared(Generic[T]):
    """A read whose result is shared by all who ask while it runs, and for a while after it."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._last: _Result[T] = _Result(float("-inf"))
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> _Result[T]:
        """Return the last result, or the next one if that is too old."""
        if self._reading is None and monotonic() - self._last.at >= self._seconds:
            self._reading = asyncio.create_task(self._refresh())
        if self._reading is not None:
            # Whoever leaves does not end what others wait for.
            await asyncio.shield(self._reading)
        return self._last

    async def _refresh(self) -> None:
        value, failure = None, ""
        try:
            async with asyncio.timeout(_WITHIN):
                value = await self._read()
        except ProblemDetailsException as error:
            failure = error.detail
        except TimeoutError:
            failure = f"No answer within {_WITHIN:g} s."
        except (PostgresError, RPCError) as error:
            # No migration has run, or Temporal's namespace is missing.
            failure = str(error)
        except Exception:
            log.exception("a part of the overview failed")
            failure = "An unexpected error occurred. The log has the details."
        finally:
            self._last = _Result(monotonic(), value, failure)
            self._reading = None


async def _view_queue(client: Client, name: str) -> QueueView:
    workflow, activity, heartbeats = await asyncio.gather(
        describe_task_queue(client, name, "workflow", timeout=_RPC_WITHIN),
        describe_task_queue(client, name, "activity", timeout=_RPC_WITHIN),
        list_heartbeats(client, name, _RPC_WITHIN),
    )
    ages = (queue.stats.approximate_backlog_age.ToTimedelta() for queue in (workflow, activity))
    return QueueView(
        task_queue=name,
        workflow_backlog=workflow.stats.approximate_backlog_count,
        activity_backlog=activity.stats.approximate_backlog_count,
        backlog_age_seconds=round(max(ages).total_seconds(), 1),
        build=serving_build(workflow),
        ramping_build=workflow.versioning_info.ramping_deployment_version.build_id,
        pollers=len(workflow.pollers),
        workers=view_workers(heartbeats),
    )
