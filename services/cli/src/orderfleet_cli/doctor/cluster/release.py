"""A release in Kubernetes, and what belongs to it."""

import asyncio
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from orderfleet_cli.doctor.cluster.kubernetes_objects import Deployment, Hpa, Pod, ScaledObject
from orderfleet_cli.errors import CommandError
from orderfleet_cli.kubectl import Kubectl, KubectlError

# The services by their component, which ends the names of their objects, and by their values.
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

T = TypeVar("T")


class Listed(Struct, Generic[T], frozen=True):
    """A list of objects."""

    items: list[T]


class Service(Struct, frozen=True):
    """A service of the release, and who scales it."""

    component: str
    deployments: list[Deployment]
    pods: list[Pod]
    scaled_objects: list[ScaledObject]
    hpas: list[Hpa]

    @property
    def values(self) -> str:
        """Where its values are in the chart."""
        return VALUES[self.component]

    @property
    def scaled(self) -> bool:
        """Whether anything scales it."""
        return bool(self.scaled_objects or self.hpas)


class Release(Struct, frozen=True):
    """A release of the chart."""

    name: str
    namespace: str
    services: list[Service]

    @property
    def scaled(self) -> bool:
        """Whether anything of it is scaled."""
        return any(service.scaled for service in self.services)


async def read_release(kubectl: Kubectl, namespace: str, name: str) -> Release:
    """Read a release; without a name it is the only one of the namespace.

    Raises:
        CommandError: kubectl failed, or there is no release, or more than one.
    """
    inside = [f"--namespace={namespace}"] if namespace else []
    deployments = await _list(kubectl, Listed[Deployment], "deployments", inside)
    names = sorted({_label(one, INSTANCE) for one in deployments})
    where = f"namespace {namespace or 'of the context'}"
    if name and name not in names:
        raise CommandError(f"no release {name} of orderfleet in {where}")
    if not names:
        raise CommandError(f"no release of orderfleet in {where}")
    if not name and len(names) > 1:
        raise CommandError(f"several releases in {where}, choose --release: {', '.join(names)}")
    name = name or names[0]
    deployments = [one for one in deployments if _label(one, INSTANCE) == name]
    namespace = deployments[0].metadata.namespace
    pods, hpas, scaled_objects = await asyncio.gather(
        _list(kubectl, Listed[Pod], "pods", inside),
        _raw_list(kubectl, Listed[Hpa], "autoscaling/v2", namespace, "horizontalpodautoscalers"),
        _raw_list(kubectl, Listed[ScaledObject], "keda.sh/v1alpha1", namespace, "scaledobjects"),
    )
    services = []
    for component in VALUES:
        mine = [one for one in deployments if _label(one, COMPONENT) == component]
        targets = {one.metadata.name for one in mine}
        services.append(
            Service(
                component=component,
                deployments=mine,
                pods=[one for one in pods if _is_of(one, name, component)],
                scaled_objects=[
                    one
                    for one in scaled_objects
                    if _is_of(one, name, component) or one.spec.scale_target_ref.name in targets
                ],
                hpas=[one for one in hpas if one.spec.scale_target_ref.name in targets],
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
    """Return all objects of a kind; none if the cluster does not know the kind."""
    try:
        answer = await kubectl.raw(f"/apis/{api}/namespaces/{namespace}/{kinds}")
    except KubectlError as error:
        if error.not_found:
            return []
        raise
    return decode(answer, kind).items


def decode(answer: bytes, kind: type[T]) -> T:
    """Return an answer of the cluster's API.

    Raises:
        KubectlError: it has another form.
    """
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise KubectlError(f"kubectl: an answer that is not understood: {error}") from None


def _label(one: Deployment | Pod | ScaledObject, label: str) -> str:
    return one.metadata.labels.get(label, "")


def _is_of(one: Pod | ScaledObject, release: str, component: str) -> bool:
    labels = one.metadata.labels
    return labels.get(INSTANCE) == release and labels.get(COMPONENT) == component
