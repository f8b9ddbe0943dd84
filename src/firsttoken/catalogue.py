"""Every metric that firsttoken serves, records or draws, declared once.

Names, units, attributes and bucket advice of ``convention`` entries are those of OpenTelemetry's
GenAI conventions (gen-ai-dev/1.42.0-dev) and hardware conventions (v1.44.0), both in development.
``extension`` entries follow the conventions' style where no convention has a name.
Everything else (Prometheus names, documentation, rules, dashboards) derives from these entries, so
that a name that a convention changes is one line in ``naming.RENAMED``.
"""

from firsttoken import genai, hardware, http, own
from firsttoken.attributes import (
    CONTAINER_NAME,
    ENGINE,
    ERROR_TYPE,
    FAMILY_OUTCOME,
    FINISH_REASON,
    HW_ID,
    HW_MODEL,
    HW_VENDOR,
    NAMESPACE_NAME,
    OPERATION,
    OTLP_OUTCOME,
    POD_NAME,
    PROVIDER,
    REQUEST_MODEL,
    SERVER_ADDRESS,
    SERVER_PORT,
    SOURCE,
    TOKEN_TYPE,
)
from firsttoken.genai import (
    DECODE_DURATION,
    INTER_TOKEN_LATENCY,
    ITERATION_TOKENS,
    KV_CACHE_UTILIZATION,
    PREEMPTIONS,
    PREFILL_DURATION,
    PREFIX_CACHE_HITS,
    PREFIX_CACHE_QUERIES,
    QUEUE_DURATION,
    REQUEST_DURATION,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS_PROCESSED,
)
from firsttoken.hardware import (
    ENERGY,
    GPU_MEMORY_FREE,
    GPU_MEMORY_LIMIT,
    GPU_MEMORY_USAGE,
    GPU_UTILIZATION,
    GPU_XID_LAST,
    POWER,
    TEMPERATURE,
)
from firsttoken.metric import Attribute, Instrument, Metric, Requirement, Stability
from firsttoken.naming import current
from firsttoken.own import (
    COLLISIONS,
    CONFIG_LOADED,
    OTLP_POINTS,
    OTLP_WAITING,
    SOURCE_AGE,
    SOURCE_CACHED,
    SOURCE_DROPPED,
    SOURCE_DURATION,
    SOURCE_ERROR_TIME,
    SOURCE_FAILURES,
    SOURCE_FAMILIES,
    SOURCE_RESTARTS,
    SOURCE_SAMPLES,
    SOURCE_SIZE,
    SOURCE_UP,
)

__all__ = [
    "COLLISIONS",
    "CONFIG_LOADED",
    "CONTAINER_NAME",
    "DECODE_DURATION",
    "ENERGY",
    "ENGINE",
    "ERROR_TYPE",
    "FAMILY_OUTCOME",
    "FINISH_REASON",
    "GPU_MEMORY_FREE",
    "GPU_MEMORY_LIMIT",
    "GPU_MEMORY_USAGE",
    "GPU_UTILIZATION",
    "GPU_XID_LAST",
    "HW_ID",
    "HW_MODEL",
    "HW_VENDOR",
    "INTER_TOKEN_LATENCY",
    "ITERATION_TOKENS",
    "KV_CACHE_UTILIZATION",
    "METRICS",
    "NAMESPACE_NAME",
    "OPERATION",
    "OTLP_OUTCOME",
    "OTLP_POINTS",
    "OTLP_WAITING",
    "POD_NAME",
    "POWER",
    "PREEMPTIONS",
    "PREFILL_DURATION",
    "PREFIX_CACHE_HITS",
    "PREFIX_CACHE_QUERIES",
    "PROVIDER",
    "QUEUE_DURATION",
    "REQUESTS_FINISHED",
    "REQUESTS_RUNNING",
    "REQUESTS_WAITING",
    "REQUEST_DURATION",
    "REQUEST_MODEL",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "SOURCE",
    "SOURCE_AGE",
    "SOURCE_CACHED",
    "SOURCE_DROPPED",
    "SOURCE_DURATION",
    "SOURCE_ERROR_TIME",
    "SOURCE_FAILURES",
    "SOURCE_FAMILIES",
    "SOURCE_RESTARTS",
    "SOURCE_SAMPLES",
    "SOURCE_SIZE",
    "SOURCE_UP",
    "TEMPERATURE",
    "TIME_PER_OUTPUT_TOKEN",
    "TIME_TO_FIRST_TOKEN",
    "TOKENS_PROCESSED",
    "TOKEN_TYPE",
    "Attribute",
    "Instrument",
    "Metric",
    "Requirement",
    "Stability",
    "find",
]

METRICS: tuple[Metric, ...] = (
    *genai.METRICS,
    *http.METRICS,
    *hardware.METRICS,
    *own.METRICS,
)
"""All entries in the order of their declaration."""

_BY_NAME = {metric.name: metric for metric in METRICS}


def find(name: str) -> Metric | None:
    """The entry of a semantic-convention name, an older one too, or None."""
    return _BY_NAME.get(current(name))
