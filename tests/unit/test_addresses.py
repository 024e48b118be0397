"""The URL of each host of a Postgres."""

import pytest

from orderfleet.addresses import host_urls


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("postgresql+asyncpg://u:p%40@h/db", ["postgresql://u:p%40@h/db"]),
        ("postgres://one:1,[::2]:2/db", ["postgres://one:1/db", "postgres://[::2]:2/db"]),
        # What asyncpg would send to the server as its settings.
        (
            "postgresql://u@h/db?sslmode=require&connect_timeout=3&channel_binding=prefer&x=a%20b",
            ["postgresql://u@h/db?sslmode=require&x=a%20b"],
        ),
        # As libpq has them.
        (
            "postgresql://u@/db?host=one,two&port=1,2&sslmode=require",
            ["postgresql://u@one:1/db?sslmode=require", "postgresql://u@two:2/db?sslmode=require"],
        ),
        ("postgresql:///db?host=one,two", ["postgresql://one/db", "postgresql://two/db"]),
        (
            "postgresql:///db?host=one,two&port=5",
            ["postgresql://one:5/db", "postgresql://two:5/db"],
        ),
        # The directory of a socket, as of a proxy in a sidecar.
        ("postgresql://u@/db?host=/run/proxy", ["postgresql://u@/db?host=%2Frun%2Fproxy"]),
        ("postgresql:///db", ["postgresql:/db"]),
    ],
)
def test_each_host_has_a_url(url: str, urls: list[str]) -> None:
    assert host_urls(url) == urls
