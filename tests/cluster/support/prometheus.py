"""Where the cluster's Prometheus is: PROMETHEUS=namespace/service:port."""

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
        """What pods of any namespace call."""
        return f"http://{self.service}.{self.namespace}:{self.port}"

    @property
    def path(self) -> str:
        """Where the API server hands requests on to it."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.service}:{self.port}/proxy"


def address(where: str) -> Address | None:
    """Read what PROMETHEUS says; None if it is no such thing."""
    found = _FORM.fullmatch(where)
    return Address(found[1], found[2], int(found[3])) if found else None
