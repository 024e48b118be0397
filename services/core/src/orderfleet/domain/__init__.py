"""What an order is and what the services say to each other: pure, and safe in the sandbox."""
