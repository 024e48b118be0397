"""What becomes of orders when there are more than the fleet can fulfil: `make bench-overload`."""
