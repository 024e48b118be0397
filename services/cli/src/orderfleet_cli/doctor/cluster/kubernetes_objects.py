"""Objects of Kubernetes and of KEDA, with the fields that the checks read."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

_PAUSES: Final = ("paused", "paused-replicas", "paused-scale-in", "paused-scale-out")


class Metadata(Struct, frozen=True, rename="camel"):
    """Name, labels and annotations."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    deletion_timestamp: str = ""


class Condition(Struct, frozen=True, rename="camel"):
    """A condition of an object; KEDA leaves reason and time out."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Status(Struct, frozen=True, rename="camel"):
    """The status of an object that has conditions."""

    conditions: list[Condition] | None = None

    def condition(self, kind: str) -> Condition:
        """Return a condition; `Unknown` if the controller has not set it."""
        conditions = (one for one in self.conditions or [] if one.type == kind)
        return next(conditions, Condition(kind, "Unknown", message="not set yet"))


class ConfigMap(Struct, frozen=True):
    """A ConfigMap."""

    data: dict[str, str] = {}


class Variable(Struct, frozen=True):
    """An environment variable; one from a Secret has no value here."""

    name: str
    value: str = ""


class Container(Struct, frozen=True):
    """A container: its image, and the variables that its template sets."""

    image: str = ""
    env: list[Variable] = []


class PodSpec(Struct, frozen=True):
    """The containers of a pod."""

    containers: list[Container] = []


class PodTemplate(Struct, frozen=True):
    """The template of the pods of a Deployment or a Job."""

    spec: PodSpec = PodSpec()


class DeploymentSpec(Struct, frozen=True):
    """The desired number of pods, and what they are."""

    replicas: int = 1
    template: PodTemplate = PodTemplate()


class DeploymentStatus(Status, frozen=True, rename="camel"):
    """The number of ready pods, and how the rollout goes."""

    ready_replicas: int = 0


class Deployment(Struct, frozen=True):
    """A Deployment."""

    metadata: Metadata
    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()


class JobSpec(Struct, frozen=True):
    """What a Job runs."""

    template: PodTemplate = PodTemplate()


class Job(Struct, frozen=True):
    """A Job."""

    metadata: Metadata
    spec: JobSpec = JobSpec()
    status: Status = Status()


class Pod(Struct, frozen=True):
    """A pod."""

    metadata: Metadata
    status: Status = Status()


class Target(Struct, frozen=True):
    """The object that a scaler scales."""

    name: str
    kind: str = "Deployment"


class Trigger(Struct, frozen=True, rename="camel"):
    """A trigger of a ScaledObject."""

    type: str
    name: str = ""
    metric_type: str = "AverageValue"
    metadata: dict[str, str] = {}


class ScaledObjectSpec(Struct, frozen=True, rename="camel"):
    """The spec of a ScaledObject, with KEDA's own defaults."""

    scale_target_ref: Target
    triggers: list[Trigger]
    min_replica_count: int = 0
    max_replica_count: int = 100


class Health(Struct, frozen=True, rename="camel"):
    """The results of KEDA's last queries of a trigger."""

    status: str = ""
    number_of_failures: int = 0


class ScaledObjectStatus(Status, frozen=True, rename="camel"):
    """The status of a ScaledObject; KEDA keeps the health of triggers if there is a fallback."""

    health: dict[str, Health] = {}


class ScaledObject(Struct, frozen=True):
    """A ScaledObject of KEDA."""

    metadata: Metadata
    spec: ScaledObjectSpec
    status: ScaledObjectStatus = ScaledObjectStatus()

    @property
    def pauses(self) -> list[str]:
        """The annotations that pause it, wholly or in one direction."""
        names = (f"autoscaling.keda.sh/{word}" for word in _PAUSES)
        return [name for name in names if name in self.metadata.annotations]

    def health_of(self, index: int) -> Health:
        """Return the health of a trigger: KEDA names its metric `s<index>-<type>...`."""
        by_metric = self.status.health.items()
        prefix = f"s{index}-"
        return next((health for name, health in by_metric if name.startswith(prefix)), Health())


class HpaSpec(Struct, frozen=True, rename="camel"):
    """The spec of a HorizontalPodAutoscaler."""

    scale_target_ref: Target
    max_replicas: int
    min_replicas: int = 1
    metrics: list[dict[str, Any]] = []


class HpaStatus(Status, frozen=True, rename="camel"):
    """The status of a HorizontalPodAutoscaler."""

    current_replicas: int = 0
    desired_replicas: int = 0
    current_metrics: list[dict[str, Any]] | None = None


class Hpa(Struct, frozen=True):
    """A HorizontalPodAutoscaler, of version autoscaling/v2."""

    metadata: Metadata
    spec: HpaSpec
    status: HpaStatus = HpaStatus()


class ServiceReference(Struct, frozen=True):
    """A Service."""

    name: str
    namespace: str


class ApiServiceSpec(Struct, frozen=True):
    """The Service that serves the API; None if the API server itself does."""

    service: ServiceReference | None = None


class ApiService(Struct, frozen=True):
    """An APIService: a part of the cluster's API that another server may serve."""

    spec: ApiServiceSpec
    status: Status = Status()
