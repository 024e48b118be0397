"""The payment gateway and the carrier: protocols and what speaks them."""
