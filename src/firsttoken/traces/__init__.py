"""From a slow percentile to the request that caused it: spans of client and server, joined."""
