"""Check every rule, and report each result as soon as all before it have theirs."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx

from orderfleet.environment import is_http_url
from orderfleet.gateways.credentials import CredentialsError
from orderfleet.gateways.protocols import GatewayRefusedError, GatewayUnknownError
from orderfleet_cli.errors import UsageError
from orderfleet_cli.gateway_check import payment_rules, shipment_rules
from orderfleet_cli.gateway_check.payments import Payments
from orderfleet_cli.gateway_check.probe import Probe
from orderfleet_cli.gateway_check.rule import BrokenRuleError, Contract, NotCheckedError, Rule
from orderfleet_cli.gateway_check.shipments import Shipments
from orderfleet_cli.gateway_check.target import Kind, Target
from orderfleet_cli.printing import one_line, show, show_json

P = TypeVar("P", bound=Probe)

# Together less than the 60 s that a check may take.
_ALL_SECONDS: Final = 50.0
_CLEAN_UP_SECONDS: Final = 5.0
_RULE_SECONDS: Final = 20.0
_RESTART_SECONDS: Final = 40.0
# Rules that are checked at once, so that a slow sandbox is checked in time.
_AT_ONCE: Final = 6
_WORDS: Final = {True: "OK", False: "FAIL", None: "SKIP"}


@dataclass(frozen=True)
class Result:
    """A rule, and whether the gateway keeps it; None if it was not checked."""

    name: str
    rule: str
    ok: bool | None
    detail: str = ""


Report = Callable[[Result], object]


async def check_gateway(target: Target, kind: Kind, *, as_json: bool) -> bool:
    """Check the rules and show the results; return whether none is broken.

    Raises:
        UsageError: the URL, the credentials or the command for the restart is wrong.
        GatewayUnreachableError: there is no gateway at the URL.
    """
    results: list[Result] = []

    def report(result: Result) -> None:
        results.append(result)
        if not as_json:
            show(_line(result))

    await check_rules(target, kind, report)
    broken = sum(result.ok is False for result in results)
    if as_json:
        show_json({"ok": not broken, "rules": results})
    else:
        skipped = sum(result.ok is None for result in results)
        kept = len(results) - broken - skipped
        show(f"\n{kept} rules kept, {broken} broken, {skipped} not checked")
    return not broken


async def check_rules(target: Target, kind: Kind, report: Report) -> None:
    """Check the rules and report each result in the order of the contract.

    Raises:
        UsageError, GatewayUnreachableError: as `check_gateway` raises them.
    """
    if not is_http_url(target.url):
        raise UsageError("URL: expected http://host:port")
    try:
        if kind is Kind.PAYMENT:
            await _check(Payments(target), payment_rules.CONTRACT, report)
        else:
            await _check(Shipments(target), shipment_rules.CONTRACT, report)
    except CredentialsError as error:
        raise UsageError(f"--credentials: {error}") from None
    except (httpx.InvalidURL, UnicodeError):
        raise UsageError("URL: expected http://host:port") from None


async def _check(gateway: P, contract: Contract[P], report: Report) -> None:
    try:
        await gateway.reach()
        await _judge_all(gateway, contract, report)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLEAN_UP_SECONDS):
                await gateway.clean_up()
        await gateway.aclose()


async def _judge_all(gateway: P, contract: Contract[P], report: Report) -> None:
    deadline = time.monotonic() + _ALL_SECONDS
    for number, rule in enumerate(contract.basics, 1):
        result = await _judge(gateway, rule, deadline, _RULE_SECONDS)
        report(result)
        if not result.ok:
            for later in contract.all()[number:]:
                report(Result(later.name, later.text, None, f"not checked: {rule.name} is broken"))
            return
    places = asyncio.Semaphore(_AT_ONCE)

    async def judge(rule: Rule[P]) -> Result:
        async with places:
            return await _judge(gateway, rule, deadline, _RULE_SECONDS)

    async with asyncio.TaskGroup() as group:
        for task in [group.create_task(judge(rule)) for rule in contract.rules]:
            report(await task)
    for rule in contract.restarts:
        report(await _judge(gateway, rule, deadline, _RESTART_SECONDS))


async def _judge(gateway: P, rule: Rule[P], deadline: float, most: float) -> Result:
    seconds = min(most, deadline - time.monotonic())
    if seconds <= 0:
        late = f"not checked: {_ALL_SECONDS:g} s are over"
        return Result(rule.name, rule.text, ok=False, detail=late)
    try:
        async with asyncio.timeout(seconds):
            await rule.check(gateway)
    except NotCheckedError as error:
        return Result(rule.name, rule.text, None, str(error))
    except TimeoutError:
        return Result(rule.name, rule.text, ok=False, detail=f"no result within {seconds:.0f} s")
    except (BrokenRuleError, GatewayRefusedError, GatewayUnknownError) as error:
        return Result(rule.name, rule.text, ok=False, detail=one_line(str(error)))
    return Result(rule.name, rule.text, ok=True)


def _line(result: Result) -> str:
    detail = f" ({result.detail})" if result.detail else ""
    return f"{_WORDS[result.ok]:5} {result.name:24} {result.rule}{detail}"
