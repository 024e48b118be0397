"""What a namespace of Temporal must have for the fleet."""

from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import ORDER_STATE

_CLOSED: Final = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})


async def require_namespace(client: Client) -> None:
    """Return if the client's namespace exists.

    Raises:
        RPCError: it does not (NOT_FOUND), or Temporal would not tell.
    """
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace)
    )


async def look_at_search_attribute(client: Client) -> tuple[bool, str]:
    """Tell whether the namespace has the fleet's search attribute, and in words.

    A server that keeps its operator's service from us, as a managed one may, is taken at its word.

    Raises:
        RPCError: there is no such namespace (NOT_FOUND), or Temporal is away.
    """
    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status in _CLOSED:
            return True, "cannot be looked at here"
        raise
    found = answer.custom_attributes.get(ORDER_STATE.name)
    if found is None:
        return False, "is not there"
    keyword = found == IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    return keyword, "is a Keyword" if keyword else "is no Keyword"
