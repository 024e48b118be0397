"""A stand-in for kubectl with recorded answers of a cluster, for `orderfleet doctor`."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from orderfleet_cli.doctor.cluster.check_cluster import check_cluster
from tests.support.cli import Cli, Outcome

_COMPONENTS: Final = ("api", "order-worker", "shipping-worker")
# The file of this name has the answer to the command, or kubectl's error.
KUBECTL: Final = """#!/bin/sh
case "$*" in
  */scaledobjects*) name=scaledobjects ;;
  */horizontalpodautoscalers*) name=hpas ;;
  */apiservices/*) name=apiservice ;;
  *keda-operator*--namespace=keda*) name=keda ;;
  "get configmaps"*) name=configmaps ;;
  "get jobs"*) name=jobs ;;
  "logs job/"*) name=log ;;
  "get deployments"*) name=deployments ;;
  "get pods"*) name=pods ;;
  */monitoring/services/prometheus:9090/proxy/*build_info*) name=scrape ;;
  */monitoring/services/prometheus:9090/proxy/*vector*) name=clock ;;
  */monitoring/services/prometheus:9090/proxy/*backlog*) name=backlog ;;
  */monitoring/services/prometheus:9090/proxy/*) name=value ;;
  */proxy/*) echo 'Error from server (NotFound): services "prometheus" not found' >&2; exit 1 ;;
esac
[ -e $name.error ] && { cat $name.error >&2; exit 1; }
cat $name.json
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster with the recorded answers, which a test may change."""

    cli: Cli
    answers: dict[str, Any]

    async def doctor(self, *more: str) -> Outcome:
        """Run the command."""
        self._write()
        return await self.cli("doctor", "--kubernetes", *more)

    async def bad(self, prometheus: str = "") -> dict[str, str]:
        """Run the checks in this process; return the failed ones: names and messages."""
        self._write()
        bad = [one for one in await check_cluster("", "", prometheus) if not one.ok]
        assert all(one.fix for one in bad)
        return {one.name: f"{one.ok} {one.found}; {one.fix}" for one in bad}

    def _write(self) -> None:
        for name, answer in self.answers.items():
            path = self.cli.cwd / f"{name}.json"
            if isinstance(answer, str):
                path.with_suffix(".error").write_text(answer)
            elif isinstance(answer, bytes):
                path.write_bytes(answer)
            else:
                path.write_bytes(msgspec.json.encode(answer))

    def of(self, kind: str, component: str) -> Any:
        """Return the recorded object of a service."""
        return self.answers[kind]["items"][_COMPONENTS.index(component)]
