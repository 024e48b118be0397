"""Backups of the fleet's database and of Temporal's, and their restore."""
