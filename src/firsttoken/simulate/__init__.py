"""An embedded engine that behaves as vLLM does under load, with faults on demand."""
