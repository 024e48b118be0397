"""Reconciliation: ends the orders that their workflows left behind."""
