"""Checks of a release in Kubernetes."""
