"""Rules of both kinds of gateway, without which no other rule can be judged."""

from http import HTTPStatus
from typing import Final

from orderfleet_cli.gateway_check.probe import MOST_BYTES, Probe, is_object, together
from orderfleet_cli.gateway_check.rule import expect, table

_AT_ONCE: Final = 20
_IDLE: Final = 5
_NO_ENTRY: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_SUCCESSES: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


async def accepts_credentials(gateway: Probe) -> None:
    """It accepts the credentials."""
    request = gateway.walk()[0]
    status = (await gateway.send(request)).status
    expect(status not in _NO_ENTRY, f"{request}: {status}; see --credentials")


async def no_redirects(gateway: Probe) -> None:
    """It answers where it is called: a redirect is not followed."""
    for request in gateway.walk():
        status = (await gateway.send(request)).status
        expect(status not in _REDIRECTS, f"{request}: {status}")


async def answers_in_time(gateway: Probe) -> None:
    """It answers in time: look-ups, voids and recalls within 1 s, other calls within 2.5 s."""
    for request in gateway.walk():
        seconds = (await gateway.send(request)).seconds
        expect(seconds < request.seconds, f"{request}: took {seconds:.1f} s")


async def answers_are_json(gateway: Probe) -> None:
    """A success is a JSON object of 64 KiB or less, without duplicate members."""
    for request in gateway.walk():
        answer = await gateway.send(request)
        if answer.status in _SUCCESSES:
            expect(len(answer.content) <= MOST_BYTES, f"{request}: more than {MOST_BYTES} bytes")
            expect(is_object(answer.content), f"{request}: {answer.status} with something else")


async def idle_connections(gateway: Probe) -> None:
    """Idle connections, of which each worker keeps some, keep no other call waiting."""
    await gateway.connect_idle(_IDLE)


async def takes_one(gateway: Probe) -> None:
    """It takes a charge or a package."""
    await gateway.take()


async def many_at_once(gateway: Probe) -> None:
    """It takes 20 calls at once, each in time."""
    await together(gateway.take() for _ in range(_AT_ONCE))


BASICS: Final = table(
    accepts_credentials,
    no_redirects,
    answers_in_time,
    answers_are_json,
    idle_connections,
    takes_one,
    many_at_once,
)
