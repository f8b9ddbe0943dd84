"""The metrics-merging sidecar: many sources in, one valid page under convention names out."""
