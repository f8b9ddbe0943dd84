"""Tracing, logs and scaling, on every platform that has them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from pydantic import ValidationError

from firsttoken.manifests.bundle import Bundle
from firsttoken.manifests.settings import Tracing

GRPC = "http://collector.observability:4317"
HTTP = "https://traces.example:443/v1/traces"

Make = Callable[..., Bundle]
Check = Callable[[dict[str, Any], str], None]


def engine(made: Bundle) -> dict[str, Any]:
    (found,) = (item for item in made.engine if item["kind"] == "Deployment")
    container: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return container


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def expanded(container: dict[str, Any], given: dict[str, str]) -> str:
    """The resource attributes as Kubernetes hands them over."""
    text: str = variables(container)["OTEL_RESOURCE_ATTRIBUTES"]
    for name, value in given.items():
        text = text.replace(f"$({name})", value)
    return text


def test_spans_say_where_they_come_from(make: Make, check: Check) -> None:
    made = make(model="org/a,b=c", tracing={"endpoint": GRPC, "ratio": 0.25})
    container = engine(made)
    found = variables(container)
    names = [item["name"] for item in container["env"]]
    pairs = [
        pair.split("=")
        for pair in expanded(container, {"POD_NAME": "p-1", "NODE_NAME": "n-1"}).split(",")
    ]

    assert f"--otlp-traces-endpoint={GRPC}" in container["args"]
    assert {key: unquote(value) for key, value in pairs} == {
        "k8s.namespace.name": "ml",
        "k8s.node.name": "n-1",
        "k8s.pod.name": "p-1",
        "gen_ai.request.model": "org/a,b=c",
    }
    # Kubernetes replaces only what was defined before.
    assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES")
    assert found["OTEL_TRACES_SAMPLER_ARG"] == "0.25"
    assert found["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "grpc"
    check(made.engine[-1], "1.32")


@pytest.mark.parametrize(("endpoint", "port"), [(GRPC, 4317), (HTTP, 443)])
def test_the_policy_lets_the_spans_out(endpoint: str, port: int, make: Make) -> None:
    made = make(tracing={"endpoint": endpoint})
    (policy,) = (item for item in made.guards if item["kind"] == "NetworkPolicy")
    ports = [p["port"] for rule in policy["spec"]["egress"] for p in rule.get("ports", ())]

    assert port in ports


@pytest.mark.parametrize(
    "endpoint",
    ["collector:4317", "http://collector", "http://collector:4318", "https://collector:4317", ""],
)
def test_an_address_that_vllm_cannot_use_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match=r"(expected|need) an address"):
        Tracing(endpoint=endpoint)


def test_tls_needs_http(make: Make) -> None:
    assert Tracing(endpoint=HTTP).protocol == "http/protobuf"


@pytest.mark.parametrize(
    "platform", ["kserve-standard", "kserve-knative", "llm-inference-service", "ray-service"]
)
def test_every_platform_traces(platform: str, make: Make, check: Check) -> None:
    made = make(platform=platform, tracing={"endpoint": GRPC})
    text = json.dumps(made.engine)

    for item in made.engine:
        check(item, "1.32")
    assert text.count(GRPC) == 1
    assert ("fieldRef" in text) == (platform != "kserve-knative")


def test_logs_are_json_where_the_release_can_write_it(make: Make) -> None:
    new = engine(make())["args"]
    old = engine(make(engine={"release": "0.30"}))["args"]
    text = engine(make(engine={"log_format": "text"}))["args"]

    assert "--logging-config.formatter=json" in new
    assert not any("--logging-config" in word for word in [*old, *text])
    assert all("--disable-access-log-for-endpoints=/health,/metrics" in a for a in (new, old, text))
    assert not any("--enable-log-requests" in word for word in new)


SCALING = {"prometheus": "http://prometheus.monitoring:9090", "most": 4}


def test_keda_scales_by_queue_and_cache(make: Make, check: Check, tmp_path: Path) -> None:
    made = make(autoscaling=SCALING, replicas=2)
    scaled, deployment = made.engine[-1], made.engine[-2]
    check(scaled, "1.32")
    queries = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    rules = [{"record": f"a{i}", "expr": query} for i, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]})
    )
    done = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yaml")], check=False)

    assert done.returncode == 0
    assert all('{job="ml/chat"}' in query for query in queries)
    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (2, 4)
    # Applying the file again must not take the autoscaler's number back.
    assert "replicas" not in deployment["spec"]


def test_kserve_leaves_scaling_to_keda(make: Make) -> None:
    made = make(platform="kserve-standard", autoscaling=SCALING)
    (service,) = (item for item in made.engine if item["kind"] == "InferenceService")

    assert made.engine[-1]["spec"]["scaleTargetRef"]["name"] == "chat-predictor"
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
    assert service["spec"]["predictor"]["maxReplicas"] == 4
