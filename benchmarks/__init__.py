"""What the hot paths cost; `make bench` runs them all."""
