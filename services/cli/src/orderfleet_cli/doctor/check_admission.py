"""Check that the API refuses an order that cannot end in time."""

import re
from typing import Final

import httpx

from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.settings import ClientSettings, read

_SECONDS: Final = 5.0
_ON: Final = re.compile(r"^orderfleet_admission_on (\S+)$", re.MULTILINE)


async def check_admission() -> Finding:
    """Read the API's own metric: its environment may differ from this one."""
    url = read(ClientSettings).api_internal_url
    if not url:
        return _unknown("the API's internal port is unknown")
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            answer = await client.get(f"{url}/metrics")
    except httpx.HTTPError as error:
        return _unknown(f"no answer at {url}: {str(error) or type(error).__name__}")
    value = _ON.search(answer.text)
    if value is None:
        return _unknown(f"no such metric at {url}")
    return admission(on=float(value[1]) == 1, fix="remove ORDERFLEET_ADMISSION=off")


def admission(*, on: bool, fix: str) -> Finding:
    """Return the finding for an API whose admission is on or off."""
    found = "on" if on else "off: the API accepts orders that cannot end in time"
    return Finding("admission", ok=on, found=found, fix=fix)


def _unknown(found: str) -> Finding:
    fix = "set ORDERFLEET_API_INTERNAL_URL to the API's internal port"
    return Finding("admission", ok=None, found=found, fix=fix)
