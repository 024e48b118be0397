"""Grafana's dashboards, by Grafana's own SDK; docs/decisions/0012 tells why.

`python -m charts.dashboards` writes charts/orderfleet/dashboards; with `--check` it exits 1 if a
file there is not what this code makes.
"""
