"""The sidecar that merges many sources' metrics into one page under semantic-convention names."""
