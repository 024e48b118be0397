"""Which builds of the workers take which orders."""
