"""Whatever runs the engine: legal objects, one scrape, and nothing that the platform refuses."""

import itertools
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from firsttoken.collector.settings import Settings
from firsttoken.exporters.profile import load as load_profile
from firsttoken.manifests.bundle import Bundle
from firsttoken.manifests.documents import Item
from firsttoken.manifests.ray import engine_options
from firsttoken.manifests.render import folder
from firsttoken.manifests.schemas import Schemas
from firsttoken.manifests.workloads import pods_of

DEFINITIONS = Schemas.read(Path(__file__).parents[1] / "data" / "schemas")
SLO = yaml.safe_load((Path(__file__).parents[2] / "examples" / "slo.yaml").read_text())
PLATFORMS = (
    "deployment", "kserve-standard", "kserve-knative", "llm-inference-service", "ray-service"
)  # fmt: skip
VENDORS = ("nvidia", "amd", "none")
FLAVOURS = ("operator", "annotations", "prometheus")
MATRIX = tuple(itertools.product(PLATFORMS, VENDORS, FLAVOURS, ("dev", "prod")))

Make = Callable[..., Bundle]
Check = Callable[[dict[str, Any], str], None]


EVERYTHING: dict[str, Any] = {
    "cache": "100Gi",
    "tracing": {"install": {"collector_image": "otelcol:1", "jaeger_image": "jaeger:2"}},
    "alerting": {"slack_channel": "#llm", "slack": {"name": "slack", "key": "url"}},
    "logs": {"image": "alloy:1", "loki": "http://loki.monitoring:3100/loki/api/v1/push"},
    "load_test": {"image": "registry.example/load:1"},
    "gpu_exporter": {"image": "registry.example/dcgm-exporter:4.8.2"},
}


def shape(platform: str, vendor: str = "nvidia", flavour: str = "operator") -> dict[str, Any]:
    return {
        "platform": platform,
        "replicas": 2,
        "accelerator": {"vendor": vendor, "count": 0 if vendor == "none" else 2},
        "monitoring": {"flavour": flavour, "dashboards": "none"},
    }


def pods(made: Bundle) -> list[dict[str, Any]]:
    """The pod templates of a bundle, each with metadata and spec as the platform will merge it."""
    found = []
    runtime: dict[str, Any] = {}
    for item in made.engine:
        spec = item.get("spec", {})
        if item["kind"] == "Deployment":
            found.append(spec["template"])
        elif item["kind"] == "ServingRuntime":
            runtime = spec
        elif item["kind"] == "InferenceService":
            predictor = spec["predictor"]
            meta = {key: predictor[key] for key in ("labels", "annotations")}
            found.append({"metadata": meta, "spec": predictor | runtime})
        elif item["kind"] == "LLMInferenceService":
            meta = {key: spec[key] for key in ("labels", "annotations")}
            found.append({"metadata": meta, "spec": spec["template"]})
        elif item["kind"] == "RayService":
            cluster = spec["rayClusterConfig"]
            groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
            found += [group["template"] for group in groups]
    assert found
    return found


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    spec = pod["spec"]
    return [*spec["containers"], *spec.get("initContainers", ())]


def engine_pod(made: Bundle) -> dict[str, Any]:
    return pods(made)[-1]


def scraped(made: Bundle) -> tuple[int, int, int]:
    """How many PodMonitors, annotated pods and scrape jobs there are."""
    monitors = sum(item["kind"] == "PodMonitor" for item in made.monitoring)
    annotated = sum(
        "prometheus.io/scrape" in pod["metadata"].get("annotations", {}) for pod in pods(made)
    )
    jobs = sum("scrape.yaml" in item.get("data", {}) for item in made.monitoring)
    return monitors, annotated, jobs


@pytest.mark.parametrize(("platform", "vendor", "flavour", "profile"), MATRIX)
def test_every_combination_is_legal(
    platform: str, vendor: str, flavour: str, profile: str, make: Make, check: Check
) -> None:
    made = make(SLO, **shape(platform, vendor, flavour), profile=profile)
    kinds = [item["kind"] for item in made.objects]

    for item in made.objects:
        check(item, "1.32")
        # Rules in CEL among them; None where the kind is Kubernetes' own.
        assert not DEFINITIONS.problems(Item("made", item))
    assert ("NetworkPolicy" in kinds) == (profile == "prod")
    assert ("PodDisruptionBudget" in kinds) == (profile == "prod")
    assert sum(scraped(made)) == 1
    for pod in pods(made):
        assert pod["metadata"]["labels"]["firsttoken.dev/deployment"] == "chat"
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"]
        assert security["seccompProfile"]["type"] == "RuntimeDefault"
        for container in containers(pod):
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert not container["image"].endswith(":latest")
    volumes = {volume["name"] for volume in engine_pod(made)["spec"]["volumes"]}
    for container in containers(engine_pod(made)):
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_collector_reads_its_configuration(platform: str, make: Make) -> None:
    config = yaml.safe_load(make(SLO, **shape(platform)).engine[0]["data"]["collector.yaml"])
    settings = Settings.model_validate(config)

    assert len(settings.sources) == 1
    assert settings.sources[0].url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("vendor", ["nvidia", "amd", "intel", "none"])
def test_the_collector_has_every_profile_that_it_is_told_to_use(vendor: str, make: Make) -> None:
    for platform in PLATFORMS:
        made = make(
            platform=platform,
            accelerator={"vendor": vendor},
            collector={"image": "ft:1", "gpu_exporter": "http://gpu.svc:9400/metrics"},
        )
        config = yaml.safe_load(made.engine[0]["data"]["collector.yaml"])
        for source in Settings.model_validate(config).sources:
            assert source.profile is None or load_profile(source.profile).name == source.profile


@pytest.mark.parametrize("platform", [name for name in PLATFORMS if name != "kserve-knative"])
def test_the_collector_is_a_native_sidecar_whose_port_the_monitor_names(
    platform: str, make: Make
) -> None:
    made = make(**shape(platform))
    (sidecar,) = engine_pod(made)["spec"]["initContainers"]
    (endpoint,) = made.monitoring[0]["spec"]["podMetricsEndpoints"]

    assert sidecar["restartPolicy"] == "Always"
    assert [port["name"] for port in sidecar["ports"]] == [endpoint["port"]]
    assert "readinessProbe" not in sidecar


def test_knative_gets_a_second_container_without_port_hook_or_probe(make: Make) -> None:
    made = make(**shape("kserve-knative"))
    pod = engine_pod(made)["spec"]
    engine, collector = pod["containers"]
    (endpoint,) = made.monitoring[0]["spec"]["podMetricsEndpoints"]

    assert [engine["name"], collector["name"]] == ["kserve-container", "collector"]
    for key in ("initContainers", "terminationGracePeriodSeconds", "topologySpreadConstraints"):
        assert key not in pod
    assert "lifecycle" not in engine
    assert not {"ports", "livenessProbe", "startupProbe", "restartPolicy"} & set(collector)
    assert "port" not in endpoint
    assert [rule["action"] for rule in endpoint["relabelings"]] == ["keep", "replace"]


@pytest.mark.parametrize("platform", ["kserve-standard", "kserve-knative"])
def test_kserve_is_told_its_mode_and_never_to_scrape(platform: str, make: Make) -> None:
    made = make(**shape(platform))
    (service,) = (item for item in made.engine if item["kind"] == "InferenceService")
    annotations = service["metadata"]["annotations"]
    names = [container["name"] for container in engine_pod(made)["spec"]["containers"]]

    assert annotations["serving.kserve.io/deploymentMode"] in {"Standard", "Knative"}
    assert not any("prometheus" in name for name in annotations)
    assert names.count("kserve-container") == 1
    assert "PYTHONPATH" not in json.dumps(made.engine)


@pytest.mark.parametrize("platform", ["kserve-standard", "llm-inference-service"])
def test_kserves_own_pod_labels_are_left_alone(platform: str, make: Make) -> None:
    labels = engine_pod(make(**shape(platform)))["metadata"]["labels"]

    assert list(labels) == ["firsttoken.dev/deployment"]


def test_a_shell_gives_llm_inference_services_engine_its_arguments_unharmed(make: Make) -> None:
    objective = {
        "name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "300ms", "target": 95
    }  # fmt: skip
    made = make(SLO | {"objectives": [objective]}, **shape("llm-inference-service"))
    (main,) = engine_pod(made)["spec"]["containers"]
    seen = subprocess.run(
        ["bash", "-c", "eval \"printf '%s\\n' $@\"", "--", *main["args"]],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip

    assert seen == [word for text in main["args"] for word in shlex.split(text)]
    (buckets,) = (text for text in seen if text.startswith("--custom-histogram-buckets="))
    assert 0.3 in json.loads(buckets.partition("=")[2])["time_to_first_token"]
    assert not any(text.startswith(("--port", "--served-model-name")) for text in seen)


def test_rays_application_has_the_engines_options(make: Make) -> None:
    arguments = ["--max-model-len=8192", "--no-enable-prefix-caching", "--seed", "7"]
    made = make(**shape("ray-service"), engine={"arguments": arguments})
    service = made.engine[-1]["spec"]
    (application,) = yaml.safe_load(service["serveConfigV2"])["applications"]
    (model,) = application["args"]["llm_configs"]

    assert model["engine_kwargs"] == {
        "max_model_len": 8192,
        "enable_prefix_caching": False,
        "seed": 7,
        "tensor_parallel_size": 2,
    }
    assert model["model_loading_config"]["model_id"] == "meta-llama/Meta-Llama-3-8B"
    assert engine_options(("--quantization=fp8",)) == {"quantization": "fp8"}


PLACES = {
    "hub": ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", None),
    "hub address": ("hf://Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", None),
    "claim": ("pvc://models/qwen/3", "/mnt/models/qwen/3", "persistentVolumeClaim"),
    "image": ("oci://registry.example/qwen:3", "/mnt/models/models", "image"),
    "store": ("s3://models/qwen", "s3://models/qwen", None),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_deployment_reaches_its_model(place: str, make: Make, check: Check) -> None:
    model, argument, source = PLACES[place]
    made = make(model=model, served_model_name="qwen")
    pod = engine_pod(made)["spec"]
    mounted = [volume for volume in pod["volumes"] if volume["name"] == "model"]

    check(made.engine[-1], "1.32")
    assert pod["containers"][0]["args"][0] == argument
    assert [source in volume for volume in mounted] == ([True] if source else [])
    assert ("--load-format=runai_streamer" in pod["containers"][0]["args"]) == (place == "store")


@pytest.mark.parametrize("place", ["claim", "image", "store"])
def test_kserve_fetches_the_model(place: str, make: Make) -> None:
    model, _, _ = PLACES[place]
    made = make(platform="kserve-standard", model=model, served_model_name="qwen")
    (service,) = (item for item in made.engine if item["kind"] == "InferenceService")
    (engine, *_) = engine_pod(made)["spec"]["containers"]

    assert service["spec"]["predictor"]["model"]["storageUri"] == model
    assert engine["args"][0] == "/mnt/models"


def test_a_plain_prometheus_takes_the_scrape_job_and_the_rules(make: Make, tmp_path: Path) -> None:
    made = make(SLO, **shape("deployment", flavour="prometheus"))
    (files,) = (item["data"] for item in made.monitoring)
    (tmp_path / "rules.yaml").write_text(files["rules.yaml"])
    config = yaml.safe_load(files["scrape.yaml"]) | {"rule_files": ["rules.yaml"]}
    # Debian's Prometheus is built without Kubernetes.
    (discovery,) = config["scrape_configs"][0].pop("kubernetes_sd_configs")
    assert discovery == {"role": "pod", "namespaces": {"names": ["ml"]}}
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))

    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert 'job="ml/chat"' in files["rules.yaml"]


def test_rules_for_annotated_pods_know_them_by_their_label(make: Make) -> None:
    made = make(SLO, **shape("deployment", flavour="annotations"))
    (files,) = (item["data"] for item in made.monitoring)

    assert '{firsttoken_dev_deployment="chat", namespace="ml"' in files["rules.yaml"]


def everything(platform: str) -> dict[str, Any]:
    wanted = shape(platform) | EVERYTHING
    if platform == "llm-inference-service":
        del wanted["cache"]  # KServe keeps the model's files itself
    if platform in ("deployment", "kserve-standard"):
        wanted["autoscaling"] = {"prometheus": "http://prometheus.monitoring:9090", "most": 4}
    return wanted


@pytest.mark.parametrize("platform", PLATFORMS)
def test_kubectl_accepts_every_folder(platform: str, make: Make, tmp_path: Path) -> None:
    """The base builds the folder of each concern."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    made = make(SLO, **everything(platform))
    for name, text in folder(made.concerns).items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    found: dict[str, int] = {}
    for place in ("base", "overlays/dev", "overlays/prod", "load-test"):
        command = ["kubectl", "kustomize", str(tmp_path / place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[place] = done.stdout.count("\napiVersion: ") + done.stdout.startswith("apiVersion: ")

    assert found["overlays/dev"] == found["base"]
    assert found["overlays/prod"] == len(made.objects)
    assert found["load-test"] == len(made.load_test)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_openshift_says_itself_whom_pods_run_as(platform: str, make: Make) -> None:
    made = make(SLO, **everything(platform), security="openshift")
    items = [Item(str(index), item) for index, item in enumerate((*made.objects, *made.load_test))]
    ours = [pod for pod in pods_of(items) if pod.item.kind != "DaemonSet"]

    assert ours
    for pod in ours:
        assert pod.spec["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
