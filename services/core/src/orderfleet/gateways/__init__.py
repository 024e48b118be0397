"""The payment gateway and the carrier: protocols and implementations."""
