"""The command line of Orderfleet."""
