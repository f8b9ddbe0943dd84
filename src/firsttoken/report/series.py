"""Names of the server's series in a report, shared by who reads them and who draws them."""

__all__ = [
    "BATCH",
    "GPU_BUSIEST",
    "GPU_BUSY",
    "GPU_MEMORY",
    "GPU_POWER",
    "HIT_RATIO",
    "KV_CACHE",
    "OUTPUT_RATE",
    "RUNNING",
    "WAITING",
]

RUNNING = "requests running"
WAITING = "requests waiting"
KV_CACHE = "KV cache in use"
"""From 0 to 1, as all shares."""
HIT_RATIO = "prefix cache hits"
"""Of the prompt tokens that were looked up."""
OUTPUT_RATE = "output tokens per second"
BATCH = "tokens per step"
GPU_BUSY = "GPU utilization"
GPU_BUSIEST = "GPU utilization of the busiest"
GPU_MEMORY = "GPU memory in use"
GPU_POWER = "GPU power"
"""Watts, of all GPUs together."""
