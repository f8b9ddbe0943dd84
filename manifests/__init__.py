"""Kubernetes objects that put the collector, the rules and the dashboards beside a deployment."""
