"""Forgetting: removes what identifies a person from an order that has ended."""
