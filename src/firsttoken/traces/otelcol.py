"""Configuration of the OpenTelemetry Collector and of Jaeger v2, generated from the same tables.

The statements are OTTL with the context ``span``, which Collectors since 0.80 read.
"""

from typing import Any

from firsttoken.catalogue import OPERATION, PROVIDER, REQUEST_MODEL
from firsttoken.traces.words import (
    OPERATIONS,
    PROMPT_SUFFIX,
    PROVIDER_NAME,
    RENAMES,
    REQUEST_ID,
    SPAN_NAME,
)

__all__ = ["collector_config", "jaeger_config", "statements"]

_ONLY = f'name == "{SPAN_NAME}"'


def _attribute(name: str) -> str:
    return f'attributes["{name}"]'


def statements() -> tuple[str, ...]:
    """What is done to each of vLLM's request spans, in OTTL, in order."""
    lines = []
    for old, new in RENAMES:
        there = f"{_ONLY} and {_attribute(old)} != nil"
        lines.append(f"set({_attribute(new)}, {_attribute(old)}) where {there}")
        lines.append(f'delete_key(attributes, "{old}") where {_ONLY}')
    choices = "gen_ai.request.choice.count"
    lines.append(
        f'delete_key(attributes, "{choices}") where {_ONLY} and {_attribute(choices)} == 1'
    )
    absent = f"{_attribute(PROVIDER.name)} == nil"
    lines.append(f'set({_attribute(PROVIDER.name)}, "{PROVIDER_NAME}") where {_ONLY} and {absent}')
    model, own = _attribute(REQUEST_MODEL.name), _attribute(REQUEST_ID)
    said = f'resource.attributes["{REQUEST_MODEL.name}"]'
    lines.append(f"set({model}, {said}) where {_ONLY} and {model} == nil and {said} != nil")
    response = _attribute("gen_ai.response.id")
    for prefix, operation in OPERATIONS:
        begins = f'{_ONLY} and {own} != nil and IsMatch({own}, "^{prefix}")'
        lines.append(f'set({_attribute(OPERATION.name)}, "{operation}") where {begins}')
        lines.append(f"set({response}, {own}) where {begins}")
    several = f'{_ONLY} and {response} != nil and IsMatch({response}, "^cmpl-")'
    lines.append(f'replace_pattern({response}, "{PROMPT_SUFFIX}", "$$1") where {several}')
    used, limit = (_attribute(f"gen_ai.{n}") for n in ("usage.output_tokens", "request.max_tokens"))
    reasons = _attribute("gen_ai.response.finish_reasons")
    whole = f"{used} != nil and {used} == {limit} and {reasons} == nil"
    lines.append(f'set({reasons}, ["length"]) where {_ONLY} and {whole}')
    # Last, since the name is what tells the spans.
    named = _attribute(OPERATION.name)
    both = f"{_ONLY} and {named} != nil and {model} != nil"
    lines.append(f'set(name, Concat([{named}, {model}], " ")) where {both}')
    lines.append(f"set(name, {named}) where {_ONLY} and {named} != nil")
    return tuple(lines)


def collector_config(backend: str, *, slow_s: float = 5.0, ratio: float = 0.1) -> dict[str, Any]:
    """A Collector that mends vLLM's spans and keeps the slow, the failed and a share of the rest.

    ``backend`` is the OTLP/gRPC address of Jaeger or any other; ``slow_s`` is a TTFT in seconds.
    """
    return {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": "0.0.0.0:4317"},
                    "http": {"endpoint": "0.0.0.0:4318"},
                }
            }
        },
        "processors": {
            "memory_limiter": {
                "check_interval": "1s",
                "limit_percentage": 80,
                "spike_limit_percentage": 20,
            },
            "transform/vllm": {
                "error_mode": "ignore",
                "trace_statements": [{"context": "span", "statements": list(statements())}],
            },
            "tail_sampling": {
                "decision_wait": "30s",
                "num_traces": 50000,
                "policies": _kept(slow_s, ratio),
            },
            "batch": {},
        },
        "exporters": {"otlp/backend": {"endpoint": backend, "tls": {"insecure": True}}},
        "service": {
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter", "transform/vllm", "tail_sampling", "batch"],
                    "exporters": ["otlp/backend"],
                }
            }
        },
    }


def _kept(slow_s: float, ratio: float) -> list[dict[str, Any]]:
    """Which traces are kept, each policy for itself."""
    first = "gen_ai.response.time_to_first_chunk"
    slow = f'attributes["{first}"] != nil and attributes["{first}"] > {slow_s}'
    return [
        {
            "name": "failed",
            "type": "status_code",
            "status_code": {"status_codes": ["ERROR"]},
        },
        {
            "name": "slow-first-token",
            "type": "ottl_condition",
            # numeric_attribute takes integers alone.
            "ottl_condition": {"error_mode": "ignore", "span": [slow]},
        },
        {
            "name": "share",
            "type": "probabilistic",
            "probabilistic": {"sampling_percentage": round(ratio * 100, 6)},
        },
    ]


def jaeger_config(folder: str | None = None) -> dict[str, Any]:
    """Jaeger v2 that keeps traces in a folder, or without one the newest in memory."""
    place = {"keys": f"{folder}/keys", "values": f"{folder}/values"}
    store = {"badger": {"directories": place, "ephemeral": False}}
    if folder is None:
        store = {"memory": {"max_traces": 100000}}
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["batch"],
                    "exporters": ["jaeger_storage_exporter"],
                }
            },
        },
        "extensions": {
            "healthcheckv2": {"use_v2": True, "http": {"endpoint": "0.0.0.0:13133"}},
            "jaeger_query": {"storage": {"traces": "traces"}},
            "jaeger_storage": {"backends": {"traces": store}},
        },
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": "0.0.0.0:4317"},
                    "http": {"endpoint": "0.0.0.0:4318"},
                }
            }
        },
        "processors": {"batch": {}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "traces"}},
    }
