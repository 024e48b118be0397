"""Query a Prometheus by the address in a ScaledObject, as KEDA does."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import httpx
import msgspec
from msgspec import Struct

from orderfleet_cli.errors import CommandError
from orderfleet_cli.kubectl import Kubectl, KubectlError

_SECONDS: Final = 10.0
# A user and a password in an URL.
_CREDENTIALS: Final = re.compile(r"//[^/@]*@")
_PORTS: Final = {"http": 80, "https": 443}

Sample = tuple[float, str]


class PrometheusError(CommandError):
    """There is no answer; if it is only `unseen` from here, another client may get one."""

    def __init__(self, message: str, *, unseen: bool) -> None:
        super().__init__(message)
        self.unseen = unseen


class Series(Struct, frozen=True):
    """A series: its value now, or its samples over a time, each as seconds and number."""

    metric: Mapping[str, str]
    value: Sample | None = None
    values: list[Sample] = []


class _Data(Struct, frozen=True, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(Struct, frozen=True):
    data: _Data


class Prometheus:
    """A Prometheus, in the cluster or elsewhere."""

    def __init__(self, kubectl: Kubectl, address: str) -> None:
        self._kubectl = kubectl
        self._address = address

    @property
    def shown(self) -> str:
        """The address to show, without user and password."""
        return _CREDENTIALS.sub("//", self._address)

    async def query(self, query: str) -> list[Series]:
        """Return the series that match a query.

        Raises:
            PrometheusError: there is no answer, or it is not a list of series.
        """
        url = _split(self._address)
        path = f"{url.path.rstrip('/')}/api/v1/query?query={quote(query, safe='')}"
        service = _service(url)
        if service:
            raw = await self._by_proxy(f"/api/v1/namespaces/{service}/proxy{path}")
        else:
            raw = await _directly(f"{url.scheme}://{url.netloc}{path}")
        try:
            data = msgspec.json.decode(raw, type=_Answer).data
            if data.result_type not in {"vector", "matrix"}:
                raise PrometheusError(f"answers a {data.result_type}", unseen=False)
            return msgspec.json.decode(data.result, type=list[Series])
        except msgspec.MsgspecError:
            raise PrometheusError("does not answer as a Prometheus", unseen=False) from None

    async def _by_proxy(self, path: str) -> bytes:
        """Query through the API server: names of the cluster do not resolve here."""
        try:
            return await self._kubectl.raw(path)
        except KubectlError as error:
            raise PrometheusError(str(error), unseen=error.forbidden) from None


async def _directly(url: str) -> bytes:
    try:
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            response = await client.get(url)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise PrometheusError(f"no answer from here: {reason}", unseen=True) from None
    if not response.is_success:
        # KEDA may have credentials that this command lacks.
        unseen = response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
        raise PrometheusError(
            f"answers {response.status_code} {response.reason_phrase}", unseen=unseen
        )
    return response.content


def _split(address: str) -> SplitResult:
    try:
        url = urlsplit(address)
        if url.scheme in _PORTS and url.hostname and url.port != 0:
            return url
    except ValueError:
        pass
    raise PrometheusError("expected http://host:port", unseen=False)


def _service(url: SplitResult) -> str:
    """Return `NAMESPACE/services/NAME:PORT` for a name of the cluster, else an empty string.

    These names are NAME.NAMESPACE, NAME.NAMESPACE.svc and NAME.NAMESPACE.svc.DOMAIN.
    """
    labels = (url.hostname or "").split(".")
    if len(labels) != 2 and labels[2:3] != ["svc"]:  # noqa: PLR2004
        return ""
    port = url.port or _PORTS[url.scheme]
    scheme = "https:" if url.scheme == "https" else ""
    return f"{labels[1]}/services/{scheme}{labels[0]}:{port}"
