"""The command line without a fleet: usage, settings, help, completion, Ctrl-C."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from tests.support.cli import NOWHERE, Cli

_WRONG: Final = {
    "nope": "No such command 'nope'",
    "status": "Missing argument 'ID'",
    "status a/b": "invalid order id 'a/b'",
    "status ..": "invalid order id '..'",
    "list --limit 0": "--limit",
    "list --limit 501": "--limit",
    "list --state lost": "'lost' is not one of",
    "start-workflow order-1": "Missing argument 'PAYMENT_ID'",
    "start-workflow order-1 p --item A:x": "'A:x' is not SKU[:QTY[:PRICE]]",
    "start-workflow order-1 p --item A:1:2:3": "'A:1:2:3' is not SKU[:QTY[:PRICE]]",
    "update-address order-1 --street S": "Missing option '--city'",
    "review order-1": "Missing option '--approve",
    "logs": "Missing option '--service'",
    "logs --service mail": "'mail' is not one of",
    "load --rate 201 --seconds 1": "--rate",
    "load --rate 1 --seconds 601": "--seconds",
    "load --rate nan --seconds 1": "--rate",
    "watch --limit 0": "--limit",
    "versions nope": "No such command 'nope'",
    "versions promote": "promote needs a BUILD or --unversioned",
    "versions promote 0123456789ab --unversioned": "promote needs a BUILD or --unversioned",
    "versions pin": "Missing argument 'ID'",
    "api-key a:b": "invalid key name 'a:b'",
    "api-key shop --role operator": "'operator' is not one of",
    "show order-1 --jsn": "No such option",
}
_NEED_THE_API: Final = (
    "start-workflow order-1 payment-1",
    "status order-1",
    "list",
    "cancel order-1",
    "update-address order-1 --street S --city C",
    "review order-1 --reject",
    "show order-1",
    "watch",
    "load --rate 1 --seconds 1",
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


async def test_wrong_usage_exits_2_with_one_line(cli: Cli) -> None:
    outcomes = await cli.all(*_WRONG)
    for (command, word), outcome in zip(_WRONG.items(), outcomes, strict=True):
        assert (outcome.status, outcome.out) == (2, ""), (command, outcome)
        assert word in outcome.error, command


async def test_without_the_api_it_exits_3(cli: Cli) -> None:
    for outcome in await cli.all(*_NEED_THE_API):
        assert outcome.status == 3, outcome
        assert outcome.error.startswith("cannot reach the API at http://127.0.0.1:1: ")


async def test_without_temporal_it_exits_3(cli: Cli) -> None:
    commands = "describe order-1", "history order-1", "versions", "versions rollback"
    for outcome in await cli.all(*commands):
        assert outcome.status == 3, outcome
        assert outcome.error.startswith("cannot reach Temporal at 127.0.0.1:1: ")


async def test_doctor_when_everything_is_away(cli: Cli) -> None:
    outcome = await cli("doctor", ORDERFLEET_FLAKY="*")
    assert (outcome.status, outcome.err) == (1, "")
    failed = [line.split()[1] for line in outcome.out.splitlines() if line.startswith("FAIL")]
    assert failed == ["API", "Temporal", "Postgres", "fault"]


@pytest.mark.parametrize(
    ("command", "env"),
    [
        ("status order-1", {"ORDERFLEET_URL": "localhost"}),
        ("status order-1", {"ORDERFLEET_URL": "http://[::1"}),
        ("status order-1", {"ORDERFLEET_API_KEY": "gr\u00fc\u00df"}),
        ("describe order-1", {"DATABASE_URL": "mysql://here/x"}),
        ("describe order-1", {"TEMPORAL_TARGET": "127.0.0.1:2"}),
        ("doctor", {"TEMPORAL_TARGET": "127.0.0.1:2"}),
    ],
)
async def test_a_wrong_setting_exits_2_and_is_named(
    cli: Cli, command: str, env: dict[str, str]
) -> None:
    outcome = await cli(*command.split(), **env)
    assert (outcome.status, outcome.out) == (2, "")
    assert next(iter(env)) in outcome.error


async def test_help_has_the_exit_codes_and_every_command_has_examples(cli: Cli) -> None:
    helped = await cli("--help")
    assert helped.status == 0
    assert "Exit codes: 0 done" in helped.out
    bare = await cli()
    assert (bare.status, bare.out) == (2, helped.out)
    commands = ("start-workflow", "describe", "logs", "up", "versions", "versions pin")
    for outcome in await cli.all(*(f"{command} --help" for command in commands)):
        assert outcome.status == 0
        assert "$ orderfleet " in outcome.out
    assert (await cli("--version")).out.startswith("orderfleet ")


def test_help_does_not_load_what_is_slow() -> None:
    code = "import sys, orderfleet_cli.app; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "orderfleet_cli.commands.operate" in loaded
    assert not {"temporalio", "asyncpg", "httpx", "structlog", "dotenv"} & set(loaded)


def test_a_bug_prints_a_traceback() -> None:
    code = (
        "import orderfleet_cli.app as app, orderfleet_cli.main as main\n"
        "app.run = lambda: open('/no/such/file')\n"
        "main.main()"
    )
    bug = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert bug.returncode == 1
    assert "Traceback" in bug.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion(cli: Cli, shell: str) -> None:
    script = await cli(_ORDERFLEET_COMPLETE=f"source_{shell}")
    assert (script.status, "orderfleet" in script.out) == (0, True)


async def test_completion_knows_commands_and_states(cli: Cli) -> None:
    completion = {
        "_ORDERFLEET_COMPLETE": "complete_bash",
        "COMP_CWORD": "1",
        "COMP_WORDS": "orderfleet ",
    }
    assert {"status", "api-key"} <= set((await cli(**completion)).out.split())
    completion |= {"COMP_CWORD": "3", "COMP_WORDS": "orderfleet list --state "}
    assert {"fulfilled", "timed_out"} <= set((await cli(**completion)).out.split())


async def test_a_key_and_its_line_belong_together(cli: Cli) -> None:
    first, second = [
        outcome.json for outcome in await cli.all("api-key shop --json", "api-key shop --json")
    ]
    assert first["key"] != second["key"]
    assert len(first["key"]) == 43
    digest = sha256(first["key"].encode()).hexdigest()
    assert first["setting"] == f"shop:{digest}"
    assert first["roles"] == ["place", "change", "read", "review"]
    shown = (await cli("api-key", "shop")).out
    assert "shop:" in shown


async def test_a_key_names_its_roles(cli: Cli) -> None:
    [key] = await cli.all("api-key desk --json --role operate --role read")
    assert key.json["setting"].endswith(":read+operate")
    assert key.json["roles"] == ["read", "operate"]


async def test_ctrl_c_while_it_loads_is_no_traceback(tmp_path: Path) -> None:
    package = tmp_path / "typer.py"
    # A signal may be some moments on its way.
    package.write_text(
        # A shell's background job ignores SIGINT, and so would this.
        "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    outcome = await Cli(tmp_path, {**NOWHERE, "PYTHONPATH": str(tmp_path)})("list")
    assert (outcome.status, outcome.out, outcome.err) == (130, "", "")


async def test_a_reader_that_goes_away_is_no_traceback(cli: Cli) -> None:
    process = await cli.begin("--help")
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert process.stderr is not None
    assert b"Traceback" not in await process.stderr.read()
    await process.wait()


def test_the_reference_is_up_to_date() -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "docs.cli_reference", "--check"]
    subprocess.run(command, check=True, cwd=root)
