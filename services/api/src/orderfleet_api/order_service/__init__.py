"""What the routes do: accept an order, change it, report on it."""

from orderfleet_api.order_service.acceptance import accept
from orderfleet_api.order_service.change_delivery import cancel, review, update_address
from orderfleet_api.order_service.links import links
from orderfleet_api.order_service.live_status import status
from orderfleet_api.order_service.records import find, show

__all__ = ["accept", "cancel", "find", "links", "review", "show", "status", "update_address"]
