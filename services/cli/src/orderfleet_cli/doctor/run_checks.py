"""The command `doctor`: run all checks and show their findings."""

import asyncio
from collections.abc import Sequence
from typing import Final

from orderfleet_cli.api_client import Api, open_configured_api
from orderfleet_cli.doctor.check_admission import check_admission
from orderfleet_cli.doctor.check_postgres import check_postgres
from orderfleet_cli.doctor.check_temporal import check_temporal
from orderfleet_cli.doctor.cluster.check_cluster import check_cluster
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import one_line, show, show_json, table
from orderfleet_cli.settings import injected_faults

_WORDS: Final = {True: "OK", False: "FAIL", None: "SKIP"}


async def check_fleet(*, as_json: bool) -> bool:
    """Check the fleet that the settings name and show the findings; return whether none is bad."""
    async with open_configured_api() as api:
        admission, *groups = await asyncio.gather(
            check_admission(), _check_api(api), check_temporal(), check_postgres()
        )
    findings = [finding for group in groups for finding in group]
    return _show([*findings, admission, _check_faults()], as_json=as_json)


async def check_kubernetes(namespace: str, release: str, prometheus: str, *, as_json: bool) -> bool:
    """Check a release in Kubernetes and show the findings; return whether none is bad.

    Raises:
        CommandError: there is no kubectl, no cluster or no such release.
    """
    return _show(await check_cluster(namespace, release, prometheus), as_json=as_json)


def _show(findings: Sequence[Finding], *, as_json: bool) -> bool:
    ok = all(finding.ok is not False for finding in findings)
    if as_json:
        show_json({"ok": ok, "checks": findings})
    else:
        rows = ((_WORDS[finding.ok], finding.name, _describe(finding)) for finding in findings)
        show(table("", "check", "", rows=rows))
    return ok


def _describe(finding: Finding) -> str:
    return one_line(finding.found if finding.ok else f"{finding.found}; {finding.fix}")


async def _check_api(api: Api) -> list[Finding]:
    fix = "start it (`orderfleet up`), or set ORDERFLEET_URL and ORDERFLEET_API_KEY"
    try:
        await api.orders(limit=1)
    except CommandError as error:
        return [Finding("API", ok=False, found=str(error), fix=fix)]
    return [Finding("API", ok=True, found=f"answers at {api.url}", fix=fix)]


def _check_faults() -> Finding:
    variables = injected_faults()
    found = f"{' and '.join(variables)} is set" if variables else "off"
    return Finding("fault injection", not variables, found, "unset it, here and for the workers")
