"""The Orderfleet worker that ships orders."""
