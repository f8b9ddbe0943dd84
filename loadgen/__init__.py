"""A token-aware load generator for LLM servers."""
