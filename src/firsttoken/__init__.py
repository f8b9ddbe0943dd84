"""Observability and service-level objectives for LLM serving."""
