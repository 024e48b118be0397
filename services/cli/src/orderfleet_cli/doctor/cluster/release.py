"""A release in Kubernetes, and what belongs to it."""

import asyncio
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from orderfleet_cli.doctor.cluster.kubernetes_objects import Deployment, Hpa, Pod, ScaledObject
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.errors import CommandError
from orderfleet_cli.kubectl import Kubectl, KubectlError

# The components, and the key of each in the chart's values.
VALUES: Final = {
    "api": "api",
    "order-worker": "orderWorker",
    "shipping-worker": "shippingWorker",
}
_SELECTOR: Final = (
    f"app.kubernetes.io/name=orderfleet,app.kubernetes.io/component in ({','.join(VALUES)})"
)
INSTANCE: Final = "app.kubernetes.io/instance"
COMPONENT: Final = "app.kubernetes.io/component"
# The chart's mode for one service, where it is not that of all.
_MODE: Final = "orderfleet/scaling"

T = TypeVar("T")


class Listed(Struct, Generic[T], frozen=True):
    """A list of objects."""

    items: list[T]


class Service(Struct, frozen=True):
    """A service of the release, with its scalers."""

    component: str
    deployments: list[Deployment]
    pods: list[Pod]
    scaled_objects: list[ScaledObject]
    hpas: list[Hpa]

    @property
    def values(self) -> str:
        """Its key in the chart's values."""
        return VALUES[self.component]

    @property
    def scaled(self) -> bool:
        """Whether anything scales it."""
        return bool(self.scaled_objects or self.hpas)

    @property
    def mode(self) -> str:
        """The mode that the chart has for this service alone, if any."""
        modes = [item.metadata.annotations.get(_MODE, "") for item in self.deployments]
        return "".join(modes[:1])

    @property
    def external_metrics(self) -> bool:
        """Whether its scaler asks the API of external metrics, as one by CPU does not."""
        kinds = {metric.get("type") for hpa in self.hpas for metric in hpa.spec.metrics}
        return bool(self.scaled_objects) or "External" in kinds


class Release(Struct, frozen=True):
    """A release of the chart."""

    name: str
    namespace: str
    services: list[Service]

    @property
    def scaled(self) -> bool:
        """Whether anything scales one of its services."""
        return any(service.scaled for service in self.services)


async def read_release(kubectl: Kubectl, namespace: str, name: str) -> Release:
    """Read a release by its name, or the only release of the namespace.

    Raises:
        CommandError: kubectl failed, there is no such release, or more than one without a name.
    """
    inside = [f"--namespace={namespace}"] if namespace else []
    deployments = await _list(kubectl, Listed[Deployment], "deployments", inside)
    names = sorted({_label(deployment, INSTANCE) for deployment in deployments})
    where = f"namespace {namespace}" if namespace else "the namespace of the context"
    if name and name not in names:
        raise CommandError(f"release {name} of orderfleet not found in {where}")
    if not names:
        raise CommandError(f"no release of orderfleet found in {where}")
    if not name and len(names) > 1:
        raise CommandError(f"several releases in {where}, set --release: {', '.join(names)}")
    name = name or names[0]
    deployments = [item for item in deployments if _label(item, INSTANCE) == name]
    namespace = deployments[0].metadata.namespace
    pods, hpas, scaled_objects = await asyncio.gather(
        _list(kubectl, Listed[Pod], "pods", inside),
        _raw_list(kubectl, Listed[Hpa], "autoscaling/v2", namespace, "horizontalpodautoscalers"),
        _raw_list(kubectl, Listed[ScaledObject], "keda.sh/v1alpha1", namespace, "scaledobjects"),
    )
    services = []
    for component in VALUES:
        own = [item for item in deployments if _label(item, COMPONENT) == component]
        targets = {deployment.metadata.name for deployment in own}
        services.append(
            Service(
                component=component,
                deployments=own,
                pods=[pod for pod in pods if _is_of(pod, name, component)],
                scaled_objects=[
                    scaled
                    for scaled in scaled_objects
                    if _is_of(scaled, name, component)
                    or scaled.spec.scale_target_ref.name in targets
                ],
                hpas=[hpa for hpa in hpas if hpa.spec.scale_target_ref.name in targets],
            )
        )
    return Release(name, namespace, services)


async def _list(kubectl: Kubectl, kind: type[Listed[T]], kinds: str, inside: list[str]) -> list[T]:
    selector = f"--selector={_SELECTOR}"
    answer = await kubectl.answer("get", kinds, selector, *inside, "--output=json")
    return decode(answer, kind).items


async def _raw_list(
    kubectl: Kubectl, kind: type[Listed[T]], api: str, namespace: str, kinds: str
) -> list[T]:
    """Return all objects of a kind, none if the cluster does not have the kind."""
    try:
        answer = await kubectl.raw(f"/apis/{api}/namespaces/{namespace}/{kinds}")
    except KubectlError as error:
        if error.not_found:
            return []
        raise
    return decode(answer, kind).items


async def get(kubectl: Kubectl, kinds: str, release: Release, components: str) -> bytes:
    """Return a release's objects of a kind; `components` is the rest of a label selector.

    Raises:
        KubectlError: kubectl failed, or may not list them.
    """
    selector = f"--selector={INSTANCE}={release.name},{COMPONENT}{components}"
    inside = f"--namespace={release.namespace}"
    return await kubectl.answer("get", kinds, selector, inside, "--output=json")


def unlisted(name: str, error: KubectlError) -> Finding:
    """Return the finding of a check whose objects kubectl did not list: SKIP if it may not."""
    ok = None if error.forbidden else False
    return Finding(name, ok=ok, found=str(error), fix="check the permissions of kubectl")


def decode(answer: bytes, kind: type[T]) -> T:
    """Decode a response of the cluster's API.

    Raises:
        KubectlError: it has another form.
    """
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise KubectlError(f"kubectl: unexpected response: {error}") from None


def _label(item: Deployment | Pod | ScaledObject, label: str) -> str:
    return item.metadata.labels.get(label, "")


def _is_of(item: Pod | ScaledObject, release: str, component: str) -> bool:
    labels = item.metadata.labels
    return labels.get(INSTANCE) == release and labels.get(COMPONENT) == component
