"""A second release, in its own namespace, on the Postgres and the Temporal of the shared one.

It reaches Temporal by a frontend that requires a client certificate and an API key, and a payment
gateway that requires a token; all of these change while orders run.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Final

import pytest

from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.steps import Steps
from tests.cluster.support.strict_servers import (
    Certificates,
    reach_strict_servers,
    start_strict_servers,
)
from tests.support.certificates import needs_openssl

pytestmark = [pytest.mark.timeout(600), needs_openssl]

_ROLES = """
CREATE ROLE second_owner LOGIN PASSWORD '{owner}';
CREATE ROLE second_fleet LOGIN PASSWORD '{fleet}';
CREATE DATABASE second OWNER second_owner;
"""
_VALUES: Final = {
    **images.values(images.OLD),
    "postgres.enabled": "false",
    "postgres.database": "second",
    "postgres.user": "second_fleet",
    "postgres.ownerUser": "second_owner",
    "postgres.existingSecret": "first-postgres",
    "postgres.secretKeys.owner": "owner",
    "postgres.secretKeys.fleet": "fleet",
    "postgres.sslMode": "disable",
    "temporal.enabled": "false",
    "temporal.address": "strict:7233",
    "temporal.namespace.name": "second",
    "temporal.tls.enabled": "true",
    "temporal.tls.caSecret": "temporal-ca",
    "temporal.tls.certSecret": "temporal-client",
    "temporal.apiKey.existingSecret": "temporal-key",
    "orderWorker.paymentGatewayUrl": "http://strict:8080",
    "orderWorker.paymentGatewaySecret": "gateway",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory: Path = tmp_path_factory.mktemp("certificates")
    return Certificates(directory)


@pytest.fixture(scope="module")
def rules(certificates: Certificates) -> Json:
    """What the servers admit at first."""
    own = certificates.server(1)
    trusted = certificates.authority(1)
    return {"keys": ["key-1"], "tokens": ["token-1"], "trusted": trusted, **own}


@pytest.fixture(scope="module")
def second(
    release_with: ReleaseWith,
    new_namespace: Callable[[str], Namespace],
    certificates: Certificates,
    rules: Json,
    steps: Steps,
) -> Iterator[Release]:
    namespace = new_namespace("second")
    # Where NetworkPolicies are enforced, the first release must allow the second's namespace.
    peer = "allowFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name"
    allowed = {f"{of}.{peer}": namespace.name for of in ("postgres", "temporal")}
    first = release_with({**images.values(images.OLD), **allowed})
    host = f"{first.namespace.name}.svc"
    with steps.step("second release on external Postgres and Temporal") as step:
        passwords = {"owner": token_hex(), "fleet": token_hex()}
        first.psql(_ROLES.format(**passwords))
        for name, values in (
            ("first-postgres", passwords),
            ("temporal-ca", {"ca.crt": certificates.authority(1)}),
            ("temporal-client", certificates.client(1)),
            ("temporal-key", {"api-key": "key-1"}),
            ("gateway", {"token": "token-1"}),
        ):
            namespace.create("v1", "Secret", name, stringData=values)
        start_strict_servers(namespace, images.OLD, f"{NAME}-temporal.{host}:7233", rules)
        second = Release(namespace, database="second", postgres=first.namespace)
        second.install({**_VALUES, "postgres.host": f"{NAME}-postgres.{host}"})
        step.saw(pods=sorted({_kind(pod) for pod in namespace.pods()}))
    yield second
    second.uninstall()
    claims = namespace.get("persistentvolumeclaims")
    assert not claims, claims


def test_on_postgres_and_temporal_of_somebody_else(second: Release, steps: Steps) -> None:
    with steps.step("helm test of the second release") as step:
        log = second.test()
        assert "fulfilled" in log, log
        rows = second.psql("SELECT id, state FROM orders")
        assert [state for _, state in rows] == ["fulfilled"], rows
        step.saw(orders=rows)


async def test_credentials_of_temporal_and_of_the_gateway_change(
    second: Release, certificates: Certificates, rules: Json, steps: Steps
) -> None:
    with steps.step("Temporal's API key and certificates, gateway's token, at 3/s") as step:
        pods = second.services_pods()
        async with reach_strict_servers(second.namespace, rules) as servers:
            with flow(
                second, "outside", images.OLD, Load(rate=3, refusable=True, seconds=30)
            ) as orders:
                # Each in turn: both are admitted, the new one comes, the old one is revoked.
                await servers.admit(keys=["key-1", "key-2"])
                second.change_secret("temporal-key", {"api-key": "key-2"})
                second.bring_secrets()
                await servers.until_replaced("key-1", "key-2")
                await servers.admit(keys=["key-2"])

                await servers.admit(trusted=certificates.authority(1, 2))
                second.change_secret("temporal-ca", {"ca.crt": certificates.authority(1, 2)})
                second.change_secret("temporal-client", certificates.client(2))
                second.bring_secrets()
                await servers.until_replaced("client-1", "client-2")
                await servers.admit(trusted=certificates.authority(2), **certificates.server(2))

                # It takes longer than until every connection is a new one.
                await servers.admit(tokens=["token-1", "token-2"])
                second.change_secret("gateway", {"token": "token-2"})
                second.bring_secrets()
                await servers.until_replaced("token-1", "token-2")
                await servers.admit(tokens=["token-2"])
            used = await servers.used()
        orders.show(step)
        orders.check()
        # Of a node that has no time, and of the moment in which another server takes the frontend's
        # port: a credential's fault has another reason, and goes on.
        assert {refusal["reason"] for refusal in orders.refusals} <= {"busy", "away"}
        orders.check_refusals()
        assert not used["refused"], used
        # Neither another pod nor a restart of one.
        assert second.services_pods() == pods


def _kind(pod: str) -> str:
    return "-".join(part for part in pod.split("-") if part.isalpha())
