"""What a deployment file becomes: legal objects that find each other, always the same bytes."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kubernetes import client as k8s

from firsttoken.manifests.bundle import Bundle, bundle, read
from firsttoken.manifests.render import folder, to_yaml

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "deployment.yaml"
GOLDEN = ROOT / "tests" / "golden" / "manifests"
RELEASES = ("1.30", "1.32", "1.37")
TYPED = {
    "ConfigMap": "V1ConfigMap",
    "Deployment": "V1Deployment",
    "NetworkPolicy": "V1NetworkPolicy",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "Service": "V1Service",
}

Make = Callable[..., Bundle]
Check = Callable[[dict[str, Any], str], None]


def example() -> Bundle:
    return bundle(*read(EXAMPLE))


def of_kind(made: Bundle, kind: str) -> dict[str, Any]:
    (found,) = (item for item in made.objects if item["kind"] == kind and "data" not in item)
    return found


def pod(made: Bundle) -> dict[str, Any]:
    template: dict[str, Any] = of_kind(made, "Deployment")["spec"]["template"]
    return template


def every_value(item: Any) -> list[Any]:
    children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return [item, *(value for child in children for value in every_value(child))]


def golden(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("FIRSTTOKEN_GOLDEN") == "1":
        file.write_text(text)
        pytest.fail(f"{file.name} rewritten, look at git diff")

    assert text == file.read_text()


def test_the_examples_objects_are_the_golden_ones() -> None:
    made = example()
    # Rules and dashboards have golden files of their own.
    golden("example.yaml", to_yaml((*made.guards, *made.engine, of_kind(made, "PodMonitor"))))


def test_the_places_to_which_the_examples_alerts_lead_are_the_golden_ones() -> None:
    groups = of_kind(example(), "PrometheusRule")["spec"]["groups"]
    places = {
        rule["alert"]: {
            name: address
            for name, address in rule["annotations"].items()
            if name in ("dashboard_url", "runbook_url")
        }
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    }

    golden("example-alerts.yaml", to_yaml([places]))


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert to_yaml(example().objects) == to_yaml(example().objects)


SHAPES: dict[str, dict[str, Any]] = {
    "least": {},
    "one replica": {"replicas": 1, "cache": "50Gi"},
    "asleep": {"replicas": 0},
    "no accelerator": {"accelerator": {"vendor": "none"}},
    "amd": {"accelerator": {"vendor": "amd", "count": 8, "node_selector": {"gpu": "mi300x"}}},
    "long model": {"model": "org/" + "m" * 196, "served_model_name": "模型-α"},
    "secret": {"engine": {"hugging_face_secret": "hub", "environment": {"VLLM_USE_V1": "1"}}},
    "gpu exporter": {
        "collector": {
            "image": "registry.example:5000/ft@sha256:" + "a" * 64,
            "gpu_exporter": "http://dcgm.gpu.svc:9400/metrics",
        }
    },
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_object_is_valid_to_the_letter(
    shape: str, release: str, make: Make, check: Check
) -> None:
    slo = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())
    for item in make(slo, **SHAPES[shape]).objects:
        check(item, release)


@pytest.mark.parametrize("place", ["spec", "spec.template.spec", "spec.selector"])
def test_the_schemas_would_find_a_misspelt_field(place: str, check: Check) -> None:
    item = of_kind(example(), "Deployment")
    check(item, "1.32")
    target = item
    for part in place.split("."):
        target = target[part]
    target["mispelt"] = 1
    with pytest.raises(jsonschema.ValidationError, match="mispelt"):
        check(item, "1.32")


def test_the_kubernetes_client_reads_each_object_without_losing_a_field() -> None:
    api = k8s.ApiClient(k8s.Configuration())
    for item in example().objects:
        if item["kind"] not in TYPED:
            continue
        typed = api.deserialize(json.dumps(item), TYPED[item["kind"]], "application/json")

        assert api.sanitize_for_serialization(typed) == item  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_are_told_apart_and_hold_no_null_and_no_status(shape: str, make: Make) -> None:
    items = make(**SHAPES[shape]).objects
    keys = [(i["apiVersion"], i["kind"], i["metadata"]["namespace"], i["metadata"]["name"])
            for i in items]  # fmt: skip

    assert len(set(keys)) == len(keys)
    assert None not in every_value(list(items))
    assert not any("status" in item or "creationTimestamp" in item["metadata"] for item in items)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_label_is_legal(shape: str, make: Make) -> None:
    value = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
    for item in make(**SHAPES[shape]).objects:
        labels = item["metadata"]["labels"]

        assert {"app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"} <= set(labels)
        assert all(value.fullmatch(text) for text in labels.values())


def test_all_selectors_match_the_pods_and_no_other_deployments(make: Make) -> None:
    made, other = make(replicas=2), make(name="chat-2", replicas=2)
    ours = pod(made)["metadata"]["labels"].items()
    theirs = pod(other)["metadata"]["labels"].items()
    selectors = [
        of_kind(made, "Deployment")["spec"]["selector"]["matchLabels"],
        of_kind(made, "Service")["spec"]["selector"],
        of_kind(made, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(made, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        of_kind(made, "PodMonitor")["spec"]["selector"]["matchLabels"],
    ]

    assert all(selector.items() <= ours for selector in selectors)
    assert not any(selector.items() <= theirs for selector in selectors)
    assert not any("app.kubernetes.io/version" in selector for selector in selectors)


def test_the_pod_monitor_names_a_port_of_the_sidecar_and_waits_less_than_its_interval(
    make: Make,
) -> None:
    made = make(monitoring={"interval": "2s"})
    (endpoint,) = of_kind(made, "PodMonitor")["spec"]["podMetricsEndpoints"]
    (sidecar,) = pod(made)["spec"]["initContainers"]
    config = yaml.safe_load(made.engine[0]["data"]["collector.yaml"])

    assert endpoint["port"] in [port["name"] for port in sidecar["ports"]]
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("2s", "1s800ms")
    assert config["timeout"] == "1s440ms"
    assert "prometheus.io/scrape" not in pod(made)["metadata"]["annotations"]


def test_names_of_ports_have_at_most_fifteen_characters() -> None:
    spec = pod(example())["spec"]
    names = [p["name"] for c in spec["containers"] + spec["initContainers"] for p in c["ports"]]

    assert names == ["http", "ft-metrics"]
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", name) for name in names)


def test_every_container_is_restricted_and_bounded(make: Make) -> None:
    spec = pod(make())["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in spec["containers"] + spec["initContainers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) >= {"cpu", "memory", "ephemeral-storage"}
        assert set(container["resources"]["limits"]) >= {"memory", "ephemeral-storage"}


def test_requests_finish_before_the_pod_is_killed_and_the_collector_outlives_the_engine(
    make: Make,
) -> None:
    spec = pod(make(engine={"shutdown_timeout": "90s"}))["spec"]
    (engine,) = spec["containers"]
    (sidecar,) = spec["initContainers"]
    pause = engine["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert "--shutdown-timeout=90" in engine["args"]
    assert spec["terminationGracePeriodSeconds"] >= pause + 90 + 10
    assert sidecar["restartPolicy"] == "Always"
    assert "readinessProbe" not in sidecar


def test_one_replica_has_no_budget_that_would_block_a_drain(make: Make) -> None:
    kinds = {item["kind"] for item in make(replicas=1).objects}

    assert "PodDisruptionBudget" not in kinds


@pytest.mark.parametrize(("replicas", "mode"), [(1, "ReadWriteOnce"), (3, "ReadWriteMany")])
def test_replicas_share_the_model_cache(replicas: int, mode: str, make: Make) -> None:
    made = make(replicas=replicas, cache="50Gi")

    assert of_kind(made, "PersistentVolumeClaim")["spec"]["accessModes"] == [mode]


def test_promtool_takes_the_rules_and_they_see_this_deployment_alone(tmp_path: Path) -> None:
    spec = of_kind(example(), "PrometheusRule")["spec"]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    source = [r["expr"] for g in spec["groups"] for r in g["rules"] if "gen_ai_server" in r["expr"]]

    assert done.returncode == 0, done.stdout + done.stderr
    assert source
    assert all('{job="ml/chat"' in expr for expr in source)


def test_every_alert_says_what_is_wrong_and_where_help_is(make: Make) -> None:
    slo = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())
    made = make(slo, monitoring={"runbooks": "https://help.example/runbooks"})
    groups = of_kind(made, "PrometheusRule")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]

    assert alerts
    for alert in alerts:
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description"} <= set(alert["annotations"])
        assert alert["annotations"]["runbook_url"].startswith("https://help.example/runbooks/")


GRAFANA, RUNBOOKS = "https://grafana.example", "https://help.example/runbooks"


@pytest.mark.parametrize("flavour", ["operator", "annotations", "prometheus"])
@pytest.mark.parametrize("where", ["deployment", "objectives"])
def test_alerts_lead_to_panels_and_runbooks_and_so_do_dashboards(
    where: str, flavour: str, make: Make
) -> None:
    slo = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())
    monitoring = {"flavour": flavour}
    if where == "deployment":
        monitoring |= {"grafana_address": GRAFANA + "/", "runbooks": RUNBOOKS + "/"}
    else:
        slo |= {"grafana": GRAFANA, "runbooks": RUNBOOKS}
    made = make(slo, monitoring=monitoring)
    (rules,) = (
        item["spec"] if "spec" in item else yaml.safe_load(item["data"]["rules.yaml"])
        for item in made.monitoring
        if item["kind"] in ("PrometheusRule", "ConfigMap")
    )
    burning = [
        rule["annotations"]
        for group in rules["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "LLMErrorBudgetBurn"
    ]
    shown = {json.dumps(item).count(f"{RUNBOOKS}/$") for item in made.dashboards}

    assert burning
    for annotations in burning:
        assert annotations["dashboard_url"].startswith(f"{GRAFANA}/d/firsttoken-slo?")
        assert annotations["runbook_url"] == f"{RUNBOOKS}/llmerrorbudgetburn.md"
    assert shown == {0, 1}


def test_a_selector_in_the_objective_file_is_kept(make: Make) -> None:
    slo = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())
    text = json.dumps(of_kind(make(slo | {"selector": {"team": "a"}}), "PrometheusRule"))

    assert 'team=\\"a\\"' in text.replace("\\\\", "\\")
    assert "ml/chat" not in text


def test_dashboards_are_the_same_whoever_brings_them_and_fit_an_annotation(make: Make) -> None:
    first, second = make(), make(name="other", namespace="elsewhere")

    assert first.dashboards == second.dashboards
    assert len(first.dashboards) == 7
    for item in first.dashboards:
        # kubectl keeps what it applied in an annotation, and these end at 256 KiB.
        assert len(json.dumps(item)) < 256 * 1024
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["namespace"] == "monitoring"


def test_dashboards_can_stay_away_or_carry_another_label(make: Make) -> None:
    assert make(monitoring={"dashboards": "none"}).dashboards == ()
    (first, *_) = make(monitoring={"dashboard_label": "boards"}).dashboards
    assert "grafana_dashboard" not in first["metadata"]["labels"]
    assert first["metadata"]["labels"]["boards"] == "1"


def test_pods_are_replaced_when_the_collectors_configuration_changes(make: Make) -> None:
    digests = {
        pod(make(monitoring={"interval": interval}))["metadata"]["annotations"][
            "firsttoken.dev/collector-config"
        ]
        for interval in ("2s", "2s", "3s")
    }

    assert len(digests) == 2


@pytest.fixture(name="written", scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's folder for kustomize."""
    place = tmp_path_factory.mktemp("kustomize")
    for name, text in folder(example().concerns).items():
        (place / name).parent.mkdir(exist_ok=True, parents=True)
        (place / name).write_text(text)
    return place


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_kubectl_builds_the_folder_into_the_same_objects(overlay: str, written: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    made = example()
    place = written / "overlays" / overlay
    done = subprocess.run(
        ["kubectl", "kustomize", str(place)], capture_output=True, text=True, check=False
    )

    def key(item: dict[str, Any]) -> tuple[str, str]:
        return item["kind"], item["metadata"]["name"]

    expected = dataclasses.replace(made, guarded=overlay == "prod").objects
    assert done.returncode == 0, done.stderr
    assert sorted(yaml.safe_load_all(done.stdout), key=key) == sorted(expected, key=key)


def test_dashboards_come_for_the_grafana_operator_too(make: Make, check: Check) -> None:
    labels = {"grafana": "llm"}
    made = make(monitoring={"dashboards": "grafana-operator", "grafana": labels}).dashboards

    assert {item["kind"] for item in made} == {"GrafanaDashboard"}
    assert all(item["spec"]["instanceSelector"]["matchLabels"] == labels for item in made)
    for item in made:
        check(item, "1.32")
