"""What gateways in front of engines count: all requests, and those that they failed to answer.

What never reaches an engine is seen here alone.  A request that the client got wrong is not bad.
Sources: the metrics and error codes of llm-d's endpoint picker and of the Gateway API inference
extension, whose names it had before (``pkg/epp/metrics``); production-stack's router
(``services/metrics_service``); LiteLLM's Prometheus logger; Istio's standard metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["GATEWAYS", "Counter", "Gateway", "GatewayName"]

GatewayName = Literal["llm-d", "inference-extension", "production-stack", "litellm", "istio"]


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter by its name in Prometheus, narrowed by matchers such as ``=~"5.."``."""

    series: str
    matchers: tuple[str, ...] = ()
    sample: Mapping[str, str] = field(default_factory=dict)
    """Labels of a series that the matchers let through, for unit tests."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Its counters, and the label that names the model; empty where it knows no models."""

    total: Counter
    bad: Counter
    model: str


_NOT_THE_CLIENTS = ('error_code!="BadRequest"',)

GATEWAYS: dict[GatewayName, Gateway] = {
    "llm-d": Gateway(
        Counter("llm_d_epp_request_total"),
        Counter("llm_d_epp_request_error_total", _NOT_THE_CLIENTS, {"error_code": "Internal"}),
        "model_name",
    ),
    "inference-extension": Gateway(
        Counter("inference_objective_request_total"),
        Counter(
            "inference_objective_request_error_total", _NOT_THE_CLIENTS, {"error_code": "Internal"}
        ),
        "model_name",
    ),
    "production-stack": Gateway(
        Counter("vllm:num_incoming_requests_total"),
        Counter("vllm:request_errors_total", (), {"error_type": "backend"}),
        "model",
    ),
    "litellm": Gateway(
        Counter("litellm_proxy_total_requests_metric_total"),
        Counter(
            "litellm_proxy_failed_requests_metric_total",
            ('exception_status!~"4.."',),
            {"exception_status": "503"},
        ),
        "requested_model",
    ),
    "istio": Gateway(
        Counter("istio_requests_total", ('reporter="destination"',), {"reporter": "destination"}),
        Counter(
            "istio_requests_total",
            ('reporter="destination"', 'response_code=~"5.."'),
            {"reporter": "destination", "response_code": "503"},
        ),
        "",
    ),
}
"""Gateway -> what it counts."""
