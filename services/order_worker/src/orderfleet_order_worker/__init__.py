"""The Orderfleet worker that runs orders and refunds."""
