"""Check a release in Kubernetes, from the pods to the autoscalers."""

import asyncio
from typing import Final

from orderfleet_cli.doctor.cluster.check_admission import check_admission
from orderfleet_cli.doctor.cluster.check_gates import check_gates
from orderfleet_cli.doctor.cluster.check_metrics_api import check_metrics_api
from orderfleet_cli.doctor.cluster.check_pods import check_pods
from orderfleet_cli.doctor.cluster.check_queries import addresses, check_queries
from orderfleet_cli.doctor.cluster.check_scalers import check_mode, check_scalers
from orderfleet_cli.doctor.cluster.check_scrape import check_scrape
from orderfleet_cli.doctor.cluster.prometheus import Prometheus, PrometheusError
from orderfleet_cli.doctor.cluster.release import Release, read_release
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.kubectl import Kubectl, find_kubectl

_FIX: Final = "set autoscaling.prometheus.address to a Prometheus that answers"
_FIX_FROM_HERE: Final = (
    "set --prometheus http://user:password@host:port, as it is reached from here"
)


async def check_cluster(namespace: str, name: str, address: str) -> list[Finding]:
    """Check a release; `address` replaces the Prometheus that its ScaledObjects name.

    Raises:
        CommandError: there is no kubectl, no cluster or no such release.
    """
    kubectl = find_kubectl()
    release = await read_release(kubectl, namespace, name)
    gates, admission, metrics_api, metrics = await asyncio.gather(
        check_gates(kubectl, release),
        check_admission(kubectl, release),
        check_metrics_api(kubectl, release),
        _check_metrics(kubectl, release, address),
    )
    found = f"release {release.name} in namespace {release.namespace}"
    return [
        Finding("Kubernetes", ok=True, found=found),
        *check_pods(release),
        *gates,
        admission,
        check_mode(release),
        *metrics,
        *metrics_api,
        *check_scalers(release),
    ]


async def _check_metrics(kubectl: Kubectl, release: Release, address: str) -> list[Finding]:
    """Check the scrape and the queries of every Prometheus that a trigger names."""
    named = addresses(release)
    if not (named or address):
        found = "no ScaledObject names it: scrapes and queries are not checked"
        return [Finding("Prometheus", ok=None, found=found, fix="set --prometheus")]
    findings = []
    for url in [address] if address else named:
        server = Prometheus(kubectl, url)
        try:
            scrape = await check_scrape(server, release)
        except PrometheusError as error:
            findings.append(_unreachable(server, error, from_option=bool(address)))
            continue
        findings += [Finding("Prometheus", ok=True, found=f"answers at {server.shown}"), *scrape]
        findings += await check_queries(server, release, named if address else [url])
    return findings


def _unreachable(server: Prometheus, error: PrometheusError, *, from_option: bool) -> Finding:
    """Return the finding for a Prometheus without an answer: KEDA may reach it another way."""
    ok = None if error.unseen and not from_option else False
    fix = _FIX_FROM_HERE if from_option or error.unseen else _FIX
    return Finding("Prometheus", ok=ok, found=f"{server.shown}: {error}", fix=fix)
