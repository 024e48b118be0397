"""The address of the cluster's Prometheus: PROMETHEUS=namespace/service:port."""

import re
from typing import Final, NamedTuple

_FORM: Final = re.compile(r"([a-z0-9-]+)/([a-z0-9-]+):(\d+)")


class Address(NamedTuple):
    """A port of a Service."""

    namespace: str
    service: str
    port: int

    @property
    def url(self) -> str:
        """The URL for pods of any namespace."""
        return f"http://{self.service}.{self.namespace}:{self.port}"

    @property
    def path(self) -> str:
        """The path of the API server's proxy to it."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.service}:{self.port}/proxy"


def address(where: str) -> Address | None:
    """Parse PROMETHEUS; None if it has another form."""
    parts = _FORM.fullmatch(where)
    return Address(parts[1], parts[2], int(parts[3])) if parts else None
