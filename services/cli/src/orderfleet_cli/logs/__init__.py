"""The logs of a fleet."""
