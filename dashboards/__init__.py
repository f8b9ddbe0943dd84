"""Grafana dashboards, built from the catalogue with grafanalib."""
