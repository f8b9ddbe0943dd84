"""Objectives, and the Prometheus rules and Alertmanager configuration that follow from them."""
