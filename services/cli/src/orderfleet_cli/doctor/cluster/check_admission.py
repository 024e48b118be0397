"""Check that the API of a release refuses an order that cannot end in time."""

from typing import Final

from orderfleet_cli.doctor.check_admission import admission
from orderfleet_cli.doctor.cluster.kubernetes_objects import ConfigMap
from orderfleet_cli.doctor.cluster.release import Listed, Release, decode, get, unlisted
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.kubectl import Kubectl, KubectlError

_NAME: Final = "ORDERFLEET_ADMISSION"
_FIX: Final = "helm upgrade with api.admission true, and no ORDERFLEET_ADMISSION in api.extraEnv"


async def check_admission(kubectl: Kubectl, release: Release) -> Finding:
    """Check the setting: in the ConfigMap, or in the Deployment's own environment, which wins."""
    try:
        answer = await get(kubectl, "configmaps", release, "=api")
    except KubectlError as error:
        return unlisted("admission", error)
    configs = decode(answer, Listed[ConfigMap]).items
    values = [config.data[_NAME] for config in configs if _NAME in config.data]
    values += [
        variable.value
        for service in release.services
        if service.component == "api"
        for deployment in service.deployments
        for container in deployment.spec.template.spec.containers
        for variable in container.env
        if variable.name == _NAME
    ]
    return admission(on=values[-1:] != ["off"], fix=_FIX)
