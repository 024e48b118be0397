"""All checks of a release in Kubernetes, from the pods to the autoscalers."""

import asyncio
from typing import Final

from orderfleet_cli.doctor.cluster.check_metrics_api import check_adapter
from orderfleet_cli.doctor.cluster.check_pods import check_pods
from orderfleet_cli.doctor.cluster.check_queries import addresses, check_queries
from orderfleet_cli.doctor.cluster.check_scalers import check_mode, check_scalers
from orderfleet_cli.doctor.cluster.check_scrape import check_scrape
from orderfleet_cli.doctor.cluster.prometheus import Prometheus, PrometheusError
from orderfleet_cli.doctor.cluster.release import Release, read_release
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.kubectl import Kubectl, find_kubectl

_FIX: Final = "set autoscaling.prometheus.address to a Prometheus that answers"
_FIX_OF_WAY: Final = "name a way from here by --prometheus: http://user:password@host:port"


async def check_cluster(namespace: str, name: str, address: str) -> list[Finding]:
    """Check a release; `address` is a Prometheus to ask instead of the one that it names.

    Raises:
        CommandError: there is no kubectl, no cluster or no such release.
    """
    kubectl = find_kubectl()
    release = await read_release(kubectl, namespace, name)
    adapter, metrics = await asyncio.gather(
        check_adapter(kubectl, release), _check_metrics(kubectl, release, address)
    )
    found = f"release {release.name} in namespace {release.namespace}"
    return [
        Finding("Kubernetes", ok=True, found=found),
        *check_pods(release),
        check_mode(release),
        *metrics,
        *adapter,
        *check_scalers(release),
    ]


async def _check_metrics(kubectl: Kubectl, release: Release, address: str) -> list[Finding]:
    """Check the scrape and the queries of every Prometheus that a trigger names."""
    named = addresses(release)
    if not (named or address):
        found = "nothing names it: neither scrape nor query is looked at"
        return [Finding("Prometheus", ok=None, found=found, fix="name it by --prometheus")]
    checks = []
    for one in [address] if address else named:
        server = Prometheus(kubectl, one)
        try:
            scrape = await check_scrape(server, release)
        except PrometheusError as error:
            checks.append(_away(server, error, given=bool(address)))
            continue
        checks += [Finding("Prometheus", ok=True, found=f"answers at {server.shown}"), *scrape]
        checks += await check_queries(server, release, named if address else [one])
    return checks


def _away(server: Prometheus, error: PrometheusError, *, given: bool) -> Finding:
    """Return the check of a Prometheus without an answer: KEDA may have another way to it."""
    ok = None if error.unseen and not given else False
    fix = _FIX_OF_WAY if given or error.unseen else _FIX
    return Finding("Prometheus", ok=ok, found=f"{server.shown}: {error}", fix=fix)
