"""Roles of API keys: every route requires one, and the API refuses a key without it."""

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from orderfleet.domain.roles import DEFAULT, Role
from orderfleet.temporal.payload_keys import make_key
from orderfleet_api import error_handlers
from orderfleet_api.app import create_routes
from orderfleet_api.auth import Keys, parse_keys, require_role, required_role, requires
from tests.unit.api.test_app import serving, unreachable

_PAGE: Final = Path(__file__).parents[3] / "docs" / "api.md"
_ROW: Final = re.compile(r"^\| `([A-Z]+) (/[^`?]*)[^`]*` \| (\w+) \|", re.MULTILINE)
# Open to everybody: a new route joins them on purpose only.
_OPEN: Final = {
    *("/health", "/assets/{name}", "/docs", "/docs/{path}", "/docs/swagger"),
    *("/", "/board", "/board/{name}"),
    *("/docs/asyncapi.json", "/docs/openapi.json", "/docs/oauth2-redirect.html", "/codec/login"),
}
_KEYS: Final = ",".join(f"{role}:{sha256(role.encode()).hexdigest()}:{role}" for role in Role)


def _routes(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Yield method, path and handler of every route, without those for OPTIONS."""
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path}: require a role of it, too"
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS":
                yield method, route.path_format, handler


def _of(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}"}


@pytest.fixture
def payload_keys(tmp_path: Path) -> str:
    """Return a file of payload keys, with which the API has all its routes."""
    path = tmp_path / "keys"
    path.write_text(f"{make_key()}\n")
    return str(path)


@pytest.mark.parametrize("keys", ["", _KEYS])
async def test_every_route_requires_a_role_or_is_open_on_purpose(
    unused_tcp_port: int, keys: str, payload_keys: str
) -> None:
    settings = {"api_keys": keys, "payload_keys_file": payload_keys}
    async with unreachable(unused_tcp_port, **settings) as backends:
        routes = list(_routes(create_routes(backends)))
    for method, path, handler in routes:
        role = required_role(handler)
        assert (role is None) == (path in _OPEN), f"{method} {path}: name its role"
        if role is not None and (keys or role not in DEFAULT):
            assert handler.resolve_guards(), f"{method} {path} requires {role} and has no guard"


async def test_every_role_opens_its_own_routes_only(
    unused_tcp_port: int, payload_keys: str
) -> None:
    settings = {"api_keys": _KEYS, "payload_keys_file": payload_keys}
    async with unreachable(unused_tcp_port, **settings) as backends:
        routes = list(_routes(create_routes(backends)))
    async with serving(unused_tcp_port, **settings) as http:
        for method, path, handler in routes:
            needed = required_role(handler)
            if needed is None:
                continue
            url = path.replace("{order_id}", "a")
            for role in Role:
                answer = await http.request(method, url, headers=_of(role))
                if role is needed:
                    # Without a body, or without Postgres; what answers 200 or 204 needs neither.
                    expected = {200, 204, 400, 415, 422, 503}
                    assert answer.status_code in expected, (method, path, role)
                    http.cookies.clear()
                else:
                    _assert_refused(answer, needed)
        assert (await http.options("/orders/a/review", headers=_of("read"))).status_code == 204


def _assert_refused(answer: httpx.Response, role: Role) -> None:
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].endswith(f'scope="{role}"')
    assert answer.json()["role"] == role
    assert f"role {role}" in answer.json()["detail"]


async def test_whoami_names_the_key_and_its_roles(unused_tcp_port: int) -> None:
    keys = f"desk:{sha256(b'desk').hexdigest()}:review+read"
    async with serving(unused_tcp_port, api_keys=keys, order_deadline_seconds=20.0) as http:
        caller = (await http.get("/whoami", headers=_of("desk"))).json()
        assert caller == {
            "name": "desk",
            "roles": ["read", "review"],
            "order_deadline_seconds": 20.0,
        }
        assert (await http.get("/whoami")).status_code == 401
    async with serving(unused_tcp_port) as http:
        caller = (await http.get("/whoami")).json()
        assert caller["name"] == ""
        assert caller["roles"] == [role.value for role in Role if role in DEFAULT]


@get("/operate", opt=requires(Role.OPERATE))
async def _operate() -> str:
    return "done"


@get("/careless")
async def _careless() -> str:
    return "done"


@pytest.mark.parametrize(
    ("keys", "headers", "status"),
    [
        ({}, {}, 403),
        (parse_keys(_KEYS), {}, 401),
        (parse_keys(_KEYS), _of("read"), 403),
        (parse_keys(_KEYS), _of("operate"), 200),
        (parse_keys(f"all:{sha256(b'all').hexdigest()}"), _of("all"), 403),
    ],
)
async def test_operate_belongs_to_keys_that_name_it(
    keys: Keys, headers: dict[str, str], status: int
) -> None:
    # Litestar types its messages more narrowly than httpx does.
    app: Any = Litestar(
        [_operate, _careless],
        guards=[require_role(lambda: keys)],
        plugins=[error_handlers.PLUGIN],
        exception_handlers=error_handlers.HANDLERS,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/operate", headers=headers)
        careless = await http.get("/careless", headers=headers)
    assert answer.status_code == status
    if status == 403:
        _assert_refused(answer, Role.OPERATE)
    # A route behind the guard that names no role is closed to everybody.
    assert careless.status_code == (401 if status == 401 else 500)


@pytest.mark.parametrize("keys", ["", _KEYS])
async def test_document_and_page_name_the_role_of_each_operation(
    unused_tcp_port: int, keys: str
) -> None:
    async with unreachable(unused_tcp_port, api_keys=keys) as backends:
        routes = list(_routes(create_routes(backends)))
    roles = {
        (method, path.replace("order_id", "id")): role
        for method, path, handler in routes
        if (role := required_role(handler)) is not None
    }
    rows = {(row[1], row[2]): row[3] for row in _ROW.finditer(_PAGE.read_text())}
    assert rows == roles
    async with serving(unused_tcp_port, api_keys=keys) as http:
        document = (await http.get("/docs/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == "/health":
                assert operation["security"] == [{}]
                continue
            role = roles[method.upper(), path.replace("order_id", "id")]
            assert f"role `{role}`" in operation["description"]
            assert operation.get("security") == ([{"key": [role]}] if keys else None)
            schema = operation["responses"]["403"]["content"]["application/problem+json"]["schema"]
            assert schema["$ref"].endswith("/Forbidden")
