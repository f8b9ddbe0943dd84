"""What only a model server's log knows: how it started, what it broke off, and why it ended."""
