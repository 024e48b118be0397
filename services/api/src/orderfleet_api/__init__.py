"""The HTTP API of Orderfleet."""
