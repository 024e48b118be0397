"""Checks of a fleet."""
