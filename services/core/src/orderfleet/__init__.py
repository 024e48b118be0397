"""What the Orderfleet services share."""
