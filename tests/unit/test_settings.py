from typing import Annotated, Any

import pytest

from orderfleet.environment import Env, Settings, SettingsError
from orderfleet.gateways.simulated import Fault
from orderfleet.runtime.migrate import MigrateSettings
from orderfleet.settings import CommonSettings, WorkerSettings
from orderfleet_api.settings import ApiSettings
from orderfleet_cli.settings import ClientSettings
from orderfleet_order_worker.settings import OrderWorkerSettings
from orderfleet_shipping_worker.settings import ShippingWorkerSettings

ALL = [ApiSettings, OrderWorkerSettings, ShippingWorkerSettings, MigrateSettings]


class Fallible(Settings, frozen=True, kw_only=True):
    pin: Annotated[int, Env("A number that nobody should see.", secret=True)] = 0


def refused(class_: type[Settings], **environ: str) -> str:
    with pytest.raises(SettingsError) as raised:
        class_.from_env(environ)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_nothing_set_is_the_defaults() -> None:
    assert CommonSettings.from_env({}) == CommonSettings()
    assert CommonSettings.from_env({"LOG_LEVEL": ""}).log_level == "info"


@pytest.mark.parametrize("name", ["TEMPORAL_ADDRESS", "TEMPORAL_TARGET"])
def test_either_name_of_an_alias_counts(name: str) -> None:
    assert CommonSettings.from_env({name: "there:7233"}).temporal_address == "there:7233"


def test_both_names_of_an_alias_must_agree() -> None:
    same = {"TEMPORAL_ADDRESS": "there:7233", "TEMPORAL_TARGET": "there:7233"}
    assert CommonSettings.from_env(same).temporal_address == "there:7233"
    message = refused(CommonSettings, TEMPORAL_ADDRESS="here:7233", TEMPORAL_TARGET="there:7233")
    assert "TEMPORAL_ADDRESS" in message
    assert "TEMPORAL_TARGET" in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/db",
        "postgres://h/db",
        "postgresql+asyncpg://u:p@h/db",
        "postgresql://u:p@[::1]:5432/db",
        "postgresql://u:p@one:5432,two:5433/db",
        "postgresql:///db?host=/tmp",
        "postgresql://u:p@one,two/db?target_session_attrs=primary&connect_timeout=3",
        "postgresql://u@/db?host=one,two&port=5432,5433",
        "postgresql://h/db?channel_binding=prefer",
    ],
)
def test_urls_of_postgres(url: str) -> None:
    assert CommonSettings.from_env({"DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hidden@h/db",
        "postgresql://u:hidden@h",
        "hidden",
        "postgresql://u:hidden@h:port/db",
        "postgresql://u:hidden@h:123456/db",
        "postgresql://u:hidden@[::1/db",
        "postgresql://u:hidden@h:65536/db",
        "postgresql://u:hidden@one:1,two:0/db",
        "postgresql://u:hidden@h/db?sslmode=maybe",
        "postgresql://u:hidden@h/db?target_session_attrs=standby",
        "postgresql://u:hidden@h/db?channel_binding=require",
        "postgresql://u:hidden@h/db?sslmode",
        "postgresql://u:hidden@h/db?sslmode=",
        "postgresql://u:hidden@/db?host=one,two&port=1,2,3",
    ],
)
def test_what_is_no_url_of_postgres(url: str) -> None:
    message = refused(CommonSettings, DATABASE_URL=url)
    assert message.startswith("DATABASE_URL")
    assert "hidden" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDERFLEET_ACTIVITY_SLOTS", "many"),
        ("ORDERFLEET_ACTIVITY_SLOTS", "0"),
        ("ORDERFLEET_ACTIVITY_SLOTS", "1.5"),
        ("ORDERFLEET_WORKFLOW_SLOTS", "1"),
        ("ORDERFLEET_PROBE_PORT", "65536"),
        ("ORDERFLEET_DRAIN_SECONDS", "-1"),
        ("ORDERFLEET_DRAIN_SECONDS", "nan"),
        ("ORDERFLEET_DRAIN_SECONDS", "inf"),
        ("ORDERFLEET_DRAIN_SECONDS", "1\n2"),
        ("ORDERFLEET_SANDBOX", "maybe"),
        ("TEMPORAL_ADDRESS", "here"),
        ("TEMPORAL_ADDRESS", "here:0"),
        ("TEMPORAL_ADDRESS", "here:65536"),
        ("TEMPORAL_ADDRESS", "http://here:7233"),
        ("TEMPORAL_ADDRESS", "::1:7233"),
        ("TEMPORAL_ADDRESS", ":7233"),
        ("TEMPORAL_ADDRESS", "here:7233 "),
        ("TEMPORAL_NAMESPACE", "default "),
        ("ORDER_TASK_QUEUE", " orders-tq"),
        ("SHIPPING_TASK_QUEUE", "shipping-tq\n"),
        ("LOG_LEVEL", "loud"),
        ("LOG_LEVEL", "info\n"),
        ("ORDERFLEET_LOG_FORMAT", "xml"),
        ("ORDERFLEET_LOG_FORMAT", "json\n"),
        ("TEMPORAL_DEPLOYMENT_NAME", "orders.tq"),
        ("TEMPORAL_DEPLOYMENT_NAME", "orders:tq"),
        ("TEMPORAL_DEPLOYMENT_NAME", "__orders"),
        ("TEMPORAL_DEPLOYMENT_NAME", "it's"),
        ("TEMPORAL_WORKER_BUILD_ID", "v1:2"),
        ("TEMPORAL_WORKER_BUILD_ID", "__unversioned__"),
        ("TEMPORAL_WORKER_BUILD_ID", "v1\n"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    message = refused(WorkerSettings, **{name: value})
    assert message.startswith(f"{name}: ")
    assert repr(value) in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDERFLEET_TEMPORAL_UI_URL", "temporal.example.com"),
        ("ORDERFLEET_TEMPORAL_UI_URL", "javascript:alert(1)"),
        ("ORDERFLEET_TEMPORAL_UI_URL", "https://temporal.example.com?a=b"),
        ("ORDERFLEET_TRACE_URL", "https://traces.example.com/trace/"),
        ("ORDERFLEET_TRACE_URL", "javascript:{trace_id}"),
        ("ORDERFLEET_TRACE_URL", "https://{trace_id}\n"),
    ],
)
def test_a_wrong_address_of_a_link_names_its_variable(name: str, value: str) -> None:
    assert refused(ApiSettings, **{name: value}).startswith(f"{name}: ")


def test_addresses_of_links() -> None:
    ui, trace = "https://temporal.example.com/ui", "http://jaeger:16686/trace/{trace_id}"
    environ = {"ORDERFLEET_TEMPORAL_UI_URL": ui, "ORDERFLEET_TRACE_URL": trace}
    settings = ApiSettings.from_env(environ)
    assert (settings.temporal_ui_url, settings.trace_url) == (ui, trace)


@pytest.mark.parametrize("address", ["h:1", "10.0.0.1:65535", "[::1]:7233", "a.b-c.example.:7233"])
def test_addresses_of_temporal(address: str) -> None:
    assert CommonSettings.from_env({"TEMPORAL_ADDRESS": address}).temporal_address == address


@pytest.mark.parametrize(
    ("class_", "name", "value"),
    [
        (ApiSettings, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://hidden:65536"),
        (OrderWorkerSettings, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://hidden:x"),
        (OrderWorkerSettings, "ORDERFLEET_PAYMENT_GATEWAY_URL", "https://pay/v1?key=hidden"),
        (ShippingWorkerSettings, "ORDERFLEET_CARRIER_URL", "https://carry/#hidden"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused(
    class_: type[Settings], name: str, value: str
) -> None:
    assert refused(class_, **{name: value}) == f"{name}: expected http://host:port"


@pytest.mark.parametrize("value", ["false", "0", "False"])
def test_a_switch_can_be_turned_off(value: str) -> None:
    assert WorkerSettings.from_env({"ORDERFLEET_SANDBOX": value}).sandbox is False


def test_a_wrong_secret_is_not_repeated() -> None:
    assert "hidden" not in refused(Fallible, ORDERFLEET_PIN="hidden")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hidden@h:5432/db", "postgresql://***@h:5432/db"),
        ("postgresql+asyncpg://hidden@h/db", "postgresql+asyncpg://***@h/db"),
        ("postgresql://h/db?password=hidden", "postgresql://h/db"),
        ("postgresql:///db?host=/tmp&password=hidden", "***"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://u:hidden@[::1]:5432/db", "postgresql://***@[::1]:5432/db"),
    ],
)
def test_secrets_are_masked(url: str, shown: str) -> None:
    assert CommonSettings(database_url=url).shown()["DATABASE_URL"] == shown


@pytest.mark.parametrize(
    ("class_", "name"),
    [
        (OrderWorkerSettings, "ORDERFLEET_PAYMENT_GATEWAY_URL"),
        (ShippingWorkerSettings, "ORDERFLEET_CARRIER_URL"),
        (ClientSettings, "ORDERFLEET_URL"),
        (OrderWorkerSettings, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (OrderWorkerSettings, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ],
)
def test_a_url_is_shown_without_its_secrets(class_: type[Settings], name: str) -> None:
    value = "https://u:hidden@h:8443/v1"
    if name not in {"ORDERFLEET_PAYMENT_GATEWAY_URL", "ORDERFLEET_CARRIER_URL"}:
        value += "?key=hidden#hidden"
    assert class_.from_env({name: value}).shown()[name] == "https://***@h:8443/v1"
    # The message about a wrong URL does not repeat it.
    for wrong in ("ftp://u:hidden@h", "u:hidden@h", "https://u:hidden@", "https://hidden@h:x"):
        assert "hidden" not in refused(class_, **{name: wrong})


def test_faults_are_a_json_list() -> None:
    value = '[{"at": "charge", "kind": "reply_lost", "orders": "demo-*", "times": 1}]'
    settings = OrderWorkerSettings.from_env({"ORDERFLEET_GATEWAY_FAULTS": value})
    assert settings.gateway_faults == (
        Fault(at="charge", kind="reply_lost", orders="demo-*", times=1),
    )
    again = settings.shown()["ORDERFLEET_GATEWAY_FAULTS"]
    assert OrderWorkerSettings.from_env({"ORDERFLEET_GATEWAY_FAULTS": again}) == settings


@pytest.mark.parametrize(
    "value",
    [
        "charge",
        "{}",
        '[{"at": "charge"}]',
        '[{"at": "moon", "kind": "refuse"}]',
        '[{"at": "charge", "kind": "refuse", "order": "x"}]',
    ],
)
def test_wrong_faults_name_their_variable(value: str) -> None:
    message = refused(ShippingWorkerSettings, ORDERFLEET_GATEWAY_FAULTS=value)
    assert message.startswith("ORDERFLEET_GATEWAY_FAULTS: ")


@pytest.mark.parametrize("class_", ALL)
def test_every_setting_is_documented_and_its_default_can_be_set(class_: type[Settings]) -> None:
    rows = list(class_.rows())
    names = [name for row in rows for name in row.names]
    assert len(names) == len(set(names))
    assert all(row.doc for row in rows)
    # What the table shows as the default, put into the environment, changes nothing.
    environ: dict[str, Any] = {row.names[0]: row.default for row in rows}
    assert class_.from_env(environ) == class_.from_env({})


_KEY = f"shop:{'1' * 64}"


@pytest.mark.parametrize(
    ("class_", "environ", "named"),
    [
        (
            ApiSettings,
            {"ORDERFLEET_API_OPEN": "true", "ORDERFLEET_API_KEYS": _KEY},
            "ORDERFLEET_API_OPEN",
        ),
        (
            ApiSettings,
            {
                "ORDERFLEET_API_OPEN": "true",
                "ORDERFLEET_API_KEYS": _KEY,
                "ORDERFLEET_API_HOST": "0.0.0.0",  # noqa: S104
            },
            "ORDERFLEET_API_OPEN",
        ),
        (ApiSettings, {"ORDERFLEET_API_PORT": "9090"}, "ORDERFLEET_PROBE_PORT"),
        (ApiSettings, {"ORDERFLEET_PROBE_PORT": "8000"}, "ORDERFLEET_API_PORT"),
        (ApiSettings, {"REVIEW_SECONDS": "15"}, "REVIEW_SECONDS"),
        (ApiSettings, {"ORDER_DEADLINE_SECONDS": "2"}, "ORDER_DEADLINE_SECONDS"),
        (ApiSettings, {"ORDERFLEET_CHANGE_WAIT_SECONDS": "16"}, "ORDERFLEET_CHANGE_WAIT_SECONDS"),
        (ApiSettings, {"ORDERFLEET_QUERY_WAIT_SECONDS": "16"}, "ORDERFLEET_QUERY_WAIT_SECONDS"),
        (
            ApiSettings,
            {"ORDERFLEET_DRAIN_SECONDS": "60", "ORDERFLEET_QUERY_WAIT_SECONDS": "16"},
            "ORDER_DEADLINE_SECONDS",
        ),
        (ApiSettings, {"ORDERFLEET_DRAIN_SECONDS": "2"}, "ORDERFLEET_DRAIN_SECONDS"),
        (
            ApiSettings,
            {"ORDERFLEET_TEMPORAL_WAIT_SECONDS": "0"},
            "ORDERFLEET_TEMPORAL_WAIT_SECONDS",
        ),
        *(
            (class_, {"ORDER_TASK_QUEUE": "one", "SHIPPING_TASK_QUEUE": "one"}, "SHIPPING_TASK_Q")
            for class_ in ALL
        ),
        (CommonSettings, {"ORDER_TASK_QUEUE": "shipping-tq"}, "ORDER_TASK_QUEUE"),
        *(
            (class_, {name: "v1"}, name)
            for class_ in (OrderWorkerSettings, ShippingWorkerSettings)
            for name in ("TEMPORAL_DEPLOYMENT_NAME", "TEMPORAL_WORKER_BUILD_ID")
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    class_: type[Settings], environ: dict[str, str], named: str
) -> None:
    assert named in refused(class_, **environ)


def test_settings_that_go_together_are_taken() -> None:
    ApiSettings.from_env({"ORDER_DEADLINE_SECONDS": "3", "REVIEW_SECONDS": "0"})
    ApiSettings.from_env({"ORDER_DEADLINE_SECONDS": "120", "REVIEW_SECONDS": "60"})
    # Behind a proxy on this machine, by whatever name it is reached.
    ApiSettings.from_env({"ORDERFLEET_API_OPEN": "true"})
    ApiSettings.from_env({"ORDERFLEET_API_OPEN": "false", "ORDERFLEET_API_KEYS": _KEY})
    WorkerSettings.from_env({"ORDERFLEET_WORKFLOW_SLOTS": "2"})
    # As Temporal's Worker Controller makes them.
    version = {
        "TEMPORAL_DEPLOYMENT_NAME": "shop/orderfleet-order-worker",
        "TEMPORAL_WORKER_BUILD_ID": "1.2.0-rc_1-3f2a",
    }
    assert version.items() <= WorkerSettings.from_env(version).shown().items()


@pytest.mark.parametrize("name", ["ORDERFLEET_RECONCILE_SECONDS", "ORDERFLEET_SETTLE_SECONDS"])
def test_the_interval_of_the_reconciliation_has_its_old_name_too(name: str) -> None:
    settings = OrderWorkerSettings.from_env({name: "3"})
    assert settings.reconcile_seconds == 3
    assert settings.shown()["ORDERFLEET_RECONCILE_SECONDS"] == "3"


@pytest.mark.parametrize(
    ("environ", "pinned", "stop"),
    [
        ({"ORDERFLEET_VERSIONING": "off"}, 0, 10),
        ({"ORDERFLEET_VERSIONING": "on"}, 17, 27),
        ({"ORDERFLEET_VERSIONING": "on", "ORDER_DEADLINE_SECONDS": "60"}, 62, 72),
    ],
)
def test_a_versioned_worker_waits_for_its_orders(
    environ: dict[str, str], pinned: float, stop: float
) -> None:
    settings = WorkerSettings.from_env(environ)
    assert (settings.pinned_seconds, settings.stop_seconds) == (pinned, stop)
