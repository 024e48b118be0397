"""`gateway check` finds each defect by the rule's name, and nothing in a right gateway."""

import re
import sys
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from orderfleet_cli.gateway_check import payment_rules, shipment_rules
from orderfleet_cli.gateway_check.rule import Rule
from orderfleet_cli.gateway_check.run import Result, check_rules
from orderfleet_cli.gateway_check.target import Kind, Target
from tests.support.cli import Cli
from tests.support.defective_gateways import DEFECTS, LosesPackages
from tests.support.gateways import (
    Body,
    Carrier,
    Gateway,
    PaymentGateway,
    Reply,
    serve_gateway,
)

_PAGE: Final = Path(__file__).parents[3] / "docs/gateways.md"
_ROW: Final = re.compile(r"^\| `([a-z-]+)` \| (.*) \|$", re.MULTILINE)


def _restart(url: str) -> str:
    return f"'{sys.executable}' -c \"import urllib.request as u; u.urlopen('{url}/restart', b'')\""


async def _check(gateway: Gateway) -> list[Result]:
    kind = Kind.PAYMENT if isinstance(gateway, PaymentGateway) else Kind.CARRIER
    results: list[Result] = []
    with serve_gateway(gateway) as url:
        await check_rules(Target(url, restart=_restart(url)), kind, results.append)
    return results


class _KeepsItsWords(PaymentGateway):
    """Answers 200 to a charge that it refuses, by the status, and never says `replayed`."""

    def charge(self, key: str, body: Body) -> Reply:
        _, answer = super().charge(key, body)
        return 200, {"status": answer["status"]}


class _CannotCallBack(Carrier):
    """A package is on its way at once."""

    def recall(self, key: str) -> Reply:
        if self.packages.get(key):
            return 409, {"reason": "on its way"}
        return super().recall(key)


class _RefusesStrangers(Carrier):
    """Does not deliver to Japan."""

    def dispatch(self, key: str, body: Body) -> Reply:
        return (422, {}) if body["address"]["country"] == "JP" else super().dispatch(key, body)


@pytest.mark.parametrize(
    "gateway",
    [PaymentGateway(), _KeepsItsWords(), Carrier(), _CannotCallBack(), _RefusesStrangers()],
    ids=lambda gateway: type(gateway).__name__,
)
async def test_nothing_is_found_in_a_right_gateway(gateway: Gateway) -> None:
    results = await _check(gateway)
    assert [result for result in results if result.ok is not True] == []
    assert len(results) >= 28
    # It leaves neither money nor packages behind.
    if isinstance(gateway, PaymentGateway):
        assert set(gateway.status.values()) == {"voided", "refunded"}
    elif not isinstance(gateway, _CannotCallBack):
        assert isinstance(gateway, Carrier)
        assert set(gateway.packages.values()) == {""}


@pytest.mark.parametrize("defective", DEFECTS, ids=lambda gateway: gateway.__name__)
async def test_a_defect_is_found_by_the_name_of_its_rule(defective: type[Gateway]) -> None:
    began = time.monotonic()
    results = await _check(defective())
    assert time.monotonic() - began < 60
    broken = [result for result in results if result.ok is False]
    # A defect may break more rules; the first one in the contract's order says it best.
    assert broken[0].name == DEFECTS[defective], broken
    assert broken[0].detail
    assert len(broken) <= 8


async def test_the_command_shows_each_rule_and_which_is_broken(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    with serve_gateway(Carrier()) as right, serve_gateway(LosesPackages()) as defective:
        kept = await cli("gateway", "check", right, "--kind", "carrier")
        broken = await cli("gateway", "check", defective, "--kind", "carrier", "--json")
    assert kept.status == 0, kept
    lines = kept.out.splitlines()
    names = [rule.name for rule in shipment_rules.CONTRACT.all()]
    assert [line.split()[1] for line in lines[: len(names)]] == names
    assert lines[-1] == f"{len(names) - 2} rules kept, 0 broken, 2 not checked"
    assert (broken.status, broken.err) == (1, "")
    document = msgspec.json.decode(broken.out)
    assert document["ok"] is False
    rules = {rule["name"]: rule for rule in document["rules"]}
    assert rules["recall"]["ok"] is False
    assert rules["recall"]["detail"] == "it answers that there was no package"
    assert rules["restart-keeps-taken"]["detail"] == "needs --restart COMMAND"


async def test_the_command_uses_credentials_and_shows_none(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/token").write_text("hidden-token")

    class Guarded(PaymentGateway):
        def before(self, handler: BaseHTTPRequestHandler) -> None:
            self.handler = handler

        def encode(self, reply: Reply) -> tuple[int, bytes]:
            if self.handler.headers["authorization"] == "Bearer hidden-token":
                return 409, b'{"reason": "hidden-token has no money"}'
            return 401, b"{}"

    cli = Cli(tmp_path)
    with serve_gateway(Guarded()) as url:
        outcomes = [
            await cli("gateway", "check", url, *more) for more in ((), ("--credentials", "secret"))
        ]
    assert [outcome.status for outcome in outcomes] == [1, 1]
    first, second = outcomes
    assert "401; see --credentials" in first.out.splitlines()[0]
    assert "hidden" not in second.out + second.err
    assert "*** has no money" in second.out


async def test_what_cannot_be_checked_is_one_line(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    with serve_gateway(PaymentGateway()) as url:
        wrong = {
            "gateway check ftp://h": (2, "URL: expected http://host:port"),
            "gateway check http://h:99999": (2, "URL: expected http://host:port"),
            "gateway check http://h --kind bank": (2, "'bank' is not one of"),
            "gateway check http://127.0.0.1:1": (3, "cannot reach the gateway at"),
            f"gateway check {url} --credentials none": (2, "--credentials: none is not a"),
            f"gateway check {url} --restart false": (2, "--restart: ended with exit status 1"),
        }
        outcomes = await cli.all(*wrong)
    for (status, message), outcome in zip(wrong.values(), outcomes, strict=True):
        assert outcome.status == status, outcome
        assert message in outcome.error


def test_the_page_has_every_rule() -> None:
    check = _PAGE.read_text().split("## Check it")[1]
    basics, payments, carrier = re.split("### Rules of a .*", check)
    assert _ROW.findall(basics) == _rows(payment_rules.CONTRACT.basics)
    money, packages = payment_rules.CONTRACT, shipment_rules.CONTRACT
    assert _ROW.findall(payments) == _rows(money.rules + money.restarts)
    assert _ROW.findall(carrier) == _rows(packages.rules + packages.restarts)


def _rows(rules: Iterable[Rule[Any]]) -> list[tuple[str, str]]:
    return [(rule.name, rule.text) for rule in rules]
