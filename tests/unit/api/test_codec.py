"""Temporal's remote codec on the API: who may use it, from which pages, and what it answers."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads

from orderfleet.temporal.encryption import EncryptionCodec
from orderfleet.temporal.payload_keys import PayloadKeys, make_key
from tests.unit.api.test_app import serving

_UI = "http://localhost:8233"
_KEYS = ",".join(
    f"{name}:{sha256(name.encode()).hexdigest()}:{name}" for name in ("read", "operate")
)
_OPERATOR = {"Authorization": "Bearer operate"}
_PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"street":"1 Main St"}')


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{make_key()}\n")
    return path


@pytest.fixture
async def http(unused_tcp_port: int, keys_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = {
        "api_keys": _KEYS,
        "payload_keys_file": str(keys_file),
        "plain_payloads": "refuse",
        "codec_origin": _UI,
    }
    async with serving(unused_tcp_port, **settings) as client:
        yield client


async def sealed(path: Path) -> Payload:
    [payload] = await EncryptionCodec(PayloadKeys(path)).encode([_PLAIN])
    return payload


def body(*payloads: Payload) -> Any:
    return MessageToDict(Payloads(payloads=payloads))


async def test_payloads_come_back_in_clear_and_encrypted(
    http: httpx.AsyncClient, keys_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text(f"{make_key()}\n")
    foreign = await sealed(tmp_path / "other")
    sent = body(await sealed(keys_file), foreign, _PLAIN)
    # As the UI asks.
    answer = await http.post(
        "/codec/decode?preserveStorageRefs=true",
        json=sent,
        headers=_OPERATOR | {"X-Namespace": "default"},
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == body(_PLAIN, foreign, _PLAIN)
    encrypted = (await http.post("/codec/encode", json=body(_PLAIN), headers=_OPERATOR)).json()
    assert b"Main" not in json.dumps(encrypted).encode()
    back = await http.post("/codec/decode", json=encrypted, headers=_OPERATOR)
    assert back.json() == body(_PLAIN)


async def test_only_an_operators_key_opens_it(http: httpx.AsyncClient) -> None:
    for path in ("decode", "encode", "session"):
        url = f"/codec/{path}"
        assert (await http.post(url, json={})).status_code == 401
        reader = await http.post(url, json={}, headers={"Authorization": "Bearer read"})
        assert (reader.status_code, reader.json()["role"]) == (403, "operate")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"payloads": [{"data": 1}]}'])
async def test_what_is_no_payloads_is_refused(http: httpx.AsyncClient, content: bytes) -> None:
    headers = _OPERATOR | {"Content-Type": "application/json"}
    answer = await http.post("/codec/decode", content=content, headers=headers)
    assert answer.status_code == 400


async def test_a_page_of_history_fits(http: httpx.AsyncClient, keys_file: Path) -> None:
    payload = await sealed(keys_file)
    payloads = [payload] * 5000
    answer = await http.post("/codec/decode", json=body(*payloads), headers=_OPERATOR)
    assert answer.status_code == 200
    payloads *= 4
    answer = await http.post("/codec/decode", json=body(*payloads), headers=_OPERATOR)
    assert answer.status_code == 413


async def test_pages_of_the_ui_may_use_it_and_no_others(http: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    allowed = await http.options("/codec/decode", headers=asked | {"Origin": _UI})
    assert allowed.status_code == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == _UI
    assert allowed.headers["Access-Control-Allow-Credentials"] == "true"
    assert "x-namespace" in allowed.headers["Access-Control-Allow-Headers"]
    answer = await http.post("/codec/decode", json={}, headers=_OPERATOR | {"Origin": _UI})
    assert answer.headers["Access-Control-Allow-Origin"] == _UI
    # An error, too: else the page could not show it.
    refused = await http.post("/codec/decode", json={}, headers={"Origin": _UI})
    assert refused.headers["Access-Control-Allow-Origin"] == _UI
    for origin in ("http://localhost:8000", "https://evil.example", "null"):
        for method in ("OPTIONS", "POST"):
            headers = _OPERATOR | asked | {"Origin": origin}
            answer = await http.request(method, "/codec/decode", json={}, headers=headers)
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Vary"] == "Origin"
    assert "Vary" not in (await http.get("/orders", headers={"Origin": _UI})).headers


async def test_a_browser_has_the_key_as_a_cookie_of_the_codec_only(
    http: httpx.AsyncClient, keys_file: Path
) -> None:
    page = await http.get("/codec/login")
    assert page.status_code == 200
    assert "API key with the role operate" in page.text
    answer = await http.post("/codec/session", headers=_OPERATOR)
    assert answer.status_code == 204
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/codec", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    proxied = _OPERATOR | {"X-Forwarded-Proto": "https"}
    assert "; Secure" in (await http.post("/codec/session", headers=proxied)).headers["Set-Cookie"]
    http.cookies.clear()
    value = {"Cookie": cookie.partition(";")[0]}
    sent = body(await sealed(keys_file))
    shown = await http.post("/codec/decode", json=sent, headers=value)
    assert shown.json() == body(_PLAIN)
    assert (await http.get("/orders", headers=value)).status_code == 401
    # A key in the request goes first.
    both = value | {"Authorization": "Bearer read"}
    assert (await http.post("/codec/decode", json={}, headers=both)).status_code == 403


async def test_without_payload_keys_there_is_no_codec(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port, api_keys=_KEYS) as http:
        assert (await http.post("/codec/decode", headers=_OPERATOR)).status_code == 404
        assert (await http.get("/codec/login")).status_code == 404


async def test_without_api_keys_nobody_has_the_role(unused_tcp_port: int, keys_file: Path) -> None:
    async with serving(unused_tcp_port, payload_keys_file=str(keys_file)) as http:
        assert (await http.post("/codec/decode", json={})).status_code == 403
