"""All checks, and how they are shown."""

import asyncio
from collections.abc import Sequence
from typing import Final

from orderfleet_cli.api_client import Api, open_configured_api
from orderfleet_cli.doctor.check_postgres import check_postgres
from orderfleet_cli.doctor.check_temporal import check_temporal
from orderfleet_cli.doctor.cluster.check_cluster import check_cluster
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import one_line, show, show_json, table
from orderfleet_cli.settings import injected_faults

_WORDS: Final = {True: "OK", False: "FAIL", None: "SKIP"}


async def check_fleet(*, as_json: bool) -> bool:
    """Run and show the checks of the fleet that is set; return whether all are well."""
    async with open_configured_api() as api:
        groups = await asyncio.gather(_check_api(api), check_temporal(), check_postgres())
    return _show(
        [*(check for group in groups for check in group), _check_faults()], as_json=as_json
    )


async def check_kubernetes(namespace: str, release: str, prometheus: str, *, as_json: bool) -> bool:
    """Run and show the checks of a release in Kubernetes; return whether none fails.

    Raises:
        CommandError: there is no kubectl, no cluster or no such release.
    """
    return _show(await check_cluster(namespace, release, prometheus), as_json=as_json)


def _show(checks: Sequence[Finding], *, as_json: bool) -> bool:
    good = all(check.ok is not False for check in checks)
    if as_json:
        show_json({"ok": good, "checks": checks})
        return good
    rows = ((_WORDS[one.ok], one.name, _said(one)) for one in checks)
    show(table("", "check", "", rows=rows))
    return good


def _said(check: Finding) -> str:
    return one_line(check.found if check.ok else f"{check.found}; {check.fix}")


async def _check_api(api: Api) -> list[Finding]:
    fix = "start it (`orderfleet up`), or set ORDERFLEET_URL and ORDERFLEET_API_KEY"
    try:
        await api.orders(limit=1)
    except CommandError as error:
        return [Finding("API", ok=False, found=str(error), fix=fix)]
    return [Finding("API", ok=True, found=f"answers at {api.url}", fix=fix)]


def _check_faults() -> Finding:
    found = injected_faults()
    said = f"{' and '.join(found)} is set" if found else "off"
    return Finding("fault injection", not found, said, "unset it, here and where the workers run")
