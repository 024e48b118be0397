"""What the fleet needs of a Temporal namespace."""

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
        RPCError: the namespace does not exist (NOT_FOUND), or the call failed.
    """
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace)
    )


async def check_search_attribute(client: Client) -> tuple[bool, str]:
    """Return whether the namespace has the fleet's search attribute, and a text about it.

    A server without the operator service, as managed ones may be, is assumed to have it.

    Raises:
        RPCError: the namespace does not exist (NOT_FOUND), or Temporal is unavailable.
    """
    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status in _CLOSED:
            return True, "cannot be checked here"
        raise
    type_ = answer.custom_attributes.get(ORDER_STATE.name)
    if type_ is None:
        return False, "is missing"
    keyword = type_ == IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    return keyword, "is a Keyword" if keyword else "is not a Keyword"
