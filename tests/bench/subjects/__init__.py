"""What is measured: each is started, takes orders by id, and tells how they ended."""
