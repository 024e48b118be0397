"""The check of `orderfleet doctor` whether the API of this machine has its admission on."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from orderfleet_cli.doctor.check_admission import check_admission
from tests.support.http_servers import served

_URL = "ORDERFLEET_API_INTERNAL_URL"


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    lines: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write("\n".join(lines).encode())

        def log_message(self, *args: object) -> None:
            pass

    with served(Handler) as url:
        monkeypatch.setenv(_URL, url)
        yield lines


async def test_it_reads_what_the_api_itself_does(metrics: list[str]) -> None:
    metrics[:] = ["# TYPE orderfleet_admission_on gauge", "orderfleet_admission_on 1.0", "x 2"]
    on = await check_admission()
    assert (on.ok, on.found) == (True, "on")
    metrics[1] = "orderfleet_admission_on 0.0"
    off = await check_admission()
    assert (off.ok, off.found) == (False, "off: the API accepts orders that cannot end in time")
    assert "ORDERFLEET_ADMISSION" in off.fix


async def test_what_it_cannot_read_is_no_failure(
    metrics: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics[:] = ["x 2"]
    older = await check_admission()
    assert older.ok is None
    assert older.found.startswith("no such metric at http://127.0.0.1:")
    monkeypatch.setenv(_URL, "http://127.0.0.1:1")
    silent = await check_admission()
    assert silent.ok is None
    assert silent.found.startswith("no answer at http://127.0.0.1:1: ")
    monkeypatch.setenv(_URL, "")
    unset = await check_admission()
    assert (unset.ok, unset.found) == (None, "the API's internal port is unknown")
