"""A release: its version, its artifacts, and whether they are what the tree says.

`make release`, `make release-artifacts` and `make verify-release` run it, with Python alone.
"""
