"""What each source's metrics mean: one profile a source, and small exporters of our own."""
