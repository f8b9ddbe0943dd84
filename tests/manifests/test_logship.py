"""Logs to Loki: legal, with the least rights, and of this namespace's deployments alone."""

from collections.abc import Callable
from typing import Any

from firsttoken.manifests import checks
from firsttoken.manifests.bundle import Bundle
from firsttoken.manifests.documents import Item
from firsttoken.manifests.schemas import Schemas

LOGS = {
    "image": "registry.example/alloy:v1.12.0",
    "loki": "http://loki.monitoring:3100/loki/api/v1/push",
}

Make = Callable[..., Bundle]
Check = Callable[[dict[str, Any], str], None]


def of_kind(items: tuple[dict[str, Any], ...], kind: str) -> dict[str, Any]:
    (found,) = (item for item in items if item["kind"] == kind)
    return found


def test_every_object_is_legal_and_a_careful_operator_finds_nothing(
    make: Make, check: Check
) -> None:
    made = make(logs=LOGS).logs
    for item in made:
        check(item, "1.32")

    found = checks.run(
        [Item("logs", item) for item in made], Schemas.read(None), releases=("1.32",)
    )
    assert found == []


def test_it_may_read_pods_and_logs_of_its_namespace_and_nothing_else(make: Make) -> None:
    made = make(logs=LOGS).logs
    rules = of_kind(made, "Role")["rules"]
    binding = of_kind(made, "RoleBinding")
    pod = of_kind(made, "Deployment")["spec"]["template"]["spec"]

    assert {resource for rule in rules for resource in rule["resources"]} == {"pods", "pods/log"}
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert binding["subjects"][0]["name"] == pod["serviceAccountName"]
    assert binding["subjects"][0]["namespace"] == "ml"
    assert pod["automountServiceAccountToken"] is True


def test_it_reads_every_deployments_pods_and_pushes_to_loki(make: Make) -> None:
    first = make(logs=LOGS)
    second = make(logs=LOGS, name="other")
    config = of_kind(first.logs, "ConfigMap")["data"]["config.alloy"]
    labels = first.engine[-1]["spec"]["template"]["metadata"]["labels"]

    assert first.logs == second.logs
    assert "firsttoken.dev/deployment" in labels
    assert "__meta_kubernetes_pod_label_firsttoken_dev_deployment" in config
    assert 'names = ["ml"]' in config
    assert LOGS["loki"] in config
