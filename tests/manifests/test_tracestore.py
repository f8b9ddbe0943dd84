"""A place for spans where a cluster has none: legal, guarded, and what the engine sends to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from firsttoken.errors import ConfigError
from firsttoken.manifests import checks
from firsttoken.manifests.bundle import Bundle, read
from firsttoken.manifests.documents import Item
from firsttoken.manifests.schemas import Schemas

INSTALL = {
    "collector_image": "registry.example/otel-collector-contrib:0.150.0",
    "jaeger_image": "registry.example/jaeger:2.20.0",
}

Make = Callable[..., Bundle]
Check = Callable[[dict[str, Any], str], None]


def named(items: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, Any]:
    (found,) = (i for i in items if i["kind"] == kind and i["metadata"]["name"] == name)
    return found


def test_every_object_is_legal_and_a_careful_operator_finds_nothing(
    make: Make, check: Check
) -> None:
    made = make(tracing={"install": INSTALL}).tracing
    items = [Item("tracing", item) for item in made]
    for item in made:
        check(item, "1.32")

    assert checks.run(items, Schemas.read(None), releases=("1.32",)) == []


def test_the_engine_sends_all_its_spans_to_the_collector_and_may_reach_it(make: Make) -> None:
    """It cannot know which requests will be slow; the Collector keeps those and a share."""
    made = make(tracing={"install": INSTALL, "ratio": 0.2})
    (engine,) = made.engine[-1]["spec"]["template"]["spec"]["containers"]
    service = named(made.tracing, "Service", "otel-collector")
    config = yaml.safe_load(
        named(made.tracing, "ConfigMap", "otel-collector")["data"]["collector.yaml"]
    )
    (policy,) = (item for item in made.guards if item["kind"] == "NetworkPolicy")
    shares = [
        p["probabilistic"]["sampling_percentage"]
        for p in config["processors"]["tail_sampling"]["policies"]
        if p["type"] == "probabilistic"
    ]

    address = "http://otel-collector.tracing.svc:4317"
    assert f"--otlp-traces-endpoint={address}" in engine["args"]
    assert {"name": "OTEL_TRACES_SAMPLER_ARG", "value": "1.0"} in engine["env"]
    assert 4317 in [port["port"] for port in service["spec"]["ports"]]
    assert 4317 in [p["port"] for rule in policy["spec"]["egress"] for p in rule["ports"]]
    assert shares == [20]


def test_the_collector_sends_to_jaeger_and_says_that_it_lives(make: Make) -> None:
    made = make(tracing={"install": INSTALL}).tracing
    config = yaml.safe_load(named(made, "ConfigMap", "otel-collector")["data"]["collector.yaml"])
    pod = named(made, "Deployment", "otel-collector")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    backend = config["exporters"]["otlp/backend"]["endpoint"]
    jaeger = named(made, "Service", "jaeger")

    assert backend == "jaeger.tracing.svc:4317"
    assert 4317 in [port["port"] for port in jaeger["spec"]["ports"]]
    assert config["service"]["extensions"] == ["health_check"]
    assert config["extensions"]["health_check"]["endpoint"].endswith(
        f":{container['livenessProbe']['httpGet']['port']}"
    )


@pytest.mark.parametrize("storage", ["5Gi", None])
def test_traces_lie_on_a_volume_unless_memory_is_asked_for(storage: str | None, make: Make) -> None:
    made = make(tracing={"install": INSTALL | {"storage": storage}}).tracing
    config = yaml.safe_load(named(made, "ConfigMap", "jaeger")["data"]["jaeger.yaml"])
    (backend,) = config["extensions"]["jaeger_storage"]["backends"].values()
    pod = named(made, "Deployment", "jaeger")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (place,) = (m["mountPath"] for m in container["volumeMounts"] if m["name"] == "storage")
    (volume,) = (v for v in pod["volumes"] if v["name"] == "storage")

    claims = [item for item in made if item["kind"] == "PersistentVolumeClaim"]
    assert len(claims) == (storage is not None)
    assert ("persistentVolumeClaim" in volume) == (storage is not None)
    assert list(backend) == (["badger"] if storage else ["memory"])
    if storage:
        assert backend["badger"]["directories"]["keys"].startswith(f"{place}/")


def test_two_deployments_bring_the_same_store(make: Make) -> None:
    first = make(tracing={"install": INSTALL})
    second = make(tracing={"install": INSTALL}, name="other", namespace="b")

    assert first.tracing == second.tracing


@pytest.mark.parametrize(
    "tracing", [{}, {"install": INSTALL, "endpoint": "http://collector.observability:4317"}]
)
def test_spans_go_to_one_place(tracing: dict[str, Any], write: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="tracing: expected either endpoint or install"):
        read(write(tracing=tracing))
