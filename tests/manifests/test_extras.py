"""Load test, GPU exporter and who is told: legal, and right where they meet the other parts."""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from firsttoken import servers
from firsttoken.collector.settings import Settings
from firsttoken.errors import ConfigError
from firsttoken.exporters.profile import load as load_profile
from firsttoken.manifests.bundle import Bundle, read
from firsttoken.manifests.gpuexporter import COUNTERS
from firsttoken.manifests.render import folder

ROOT = Path(__file__).parents[2]
SLO = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())
PROGRAM = str(Path(sys.executable).with_name("firsttoken"))
LOAD = {
    "image": "registry.example/firsttoken-load:0.1.0",
    "rate": 20,
    "warmup": "0s",
    "duration": "1s",
    "prompt_tokens": 16,
    "output_tokens": 4,
}

Make = Callable[..., Bundle]
Check = Callable[[dict[str, Any], str], None]


def of_kind(items: tuple[dict[str, Any], ...], kind: str) -> dict[str, Any]:
    (found,) = (item for item in items if item["kind"] == kind)
    return found


def test_the_load_tests_job_runs_as_written(make: Make, check: Check, tmp_path: Path) -> None:
    made = make(SLO, load_test=LOAD)
    for item in made.load_test:
        check(item, "1.32")
    config, job = made.load_test
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (tmp_path / "load.yaml").write_text(config["data"]["load.yaml"])
    assert container["command"] == ["firsttoken", "load", "run"]

    with servers.start(
        "engine", [PROGRAM, "simulate", "--listen", "127.0.0.1:0"], tmp_path / "engine.log"
    ) as engine:
        given = {
            "http://chat.ml.svc:80": servers.announced_address(engine),
            "/etc/firsttoken": str(tmp_path),
            "/results": str(tmp_path),
            "meta-llama/Meta-Llama-3-8B": "",
        }
        arguments = []
        for text in container["args"]:
            for before, after in given.items():
                text = text.replace(before, after)
            if not text.endswith("--model="):
                arguments.append(text)
        command = [PROGRAM, *container["command"][1:], *arguments]
        with servers.start("load", command, tmp_path / "load.log") as child:
            code = child.process.wait(60)

    said = (tmp_path / "load.log").read_text()
    # On a machine with other work answers may be slow, or the load generator late.
    late = "the load generator was the bottleneck" in said
    assert code in ((3,) if late else (0, 1)), said
    assert (tmp_path / "records.jsonl").read_text().count("\n") > 5


def test_a_changed_load_test_is_another_job(make: Make) -> None:
    names = {make(load_test=LOAD | {"rate": rate}).load_test[1]["metadata"]["name"]
             for rate in (1, 1, 2)}  # fmt: skip

    assert len(names) == 2
    assert all(re.fullmatch(r"chat-load-[0-9a-f]{8}", name) for name in names)


def test_a_load_test_starts_only_when_it_is_meant(make: Make) -> None:
    made = make(load_test=LOAD)
    files = folder(made.concerns)

    assert "Job" not in {item["kind"] for item in made.objects}
    assert "load-test" not in files["base/kustomization.yaml"]
    assert "load-test/kustomization.yaml" in files
    job_labels = made.load_test[1]["spec"]["template"]["metadata"]["labels"]
    assert "firsttoken.dev/deployment" not in job_labels


def test_several_workers_records_merge_into_one_run(
    make: Make, check: Check, tmp_path: Path
) -> None:
    """The arguments of each pod as Kubernetes completes them, and then the merge."""
    made = make(SLO, load_test=LOAD | {"workers": 2, "results": "records"})
    for item in made.load_test:
        check(item, "1.32")
    config, job = made.load_test
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (tmp_path / "load.yaml").write_text(config["data"]["load.yaml"])
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2

    asked = time.monotonic()
    with (
        servers.start(
            "engine", [PROGRAM, "simulate", "--listen", "127.0.0.1:0"], tmp_path / "engine.log"
        ) as engine,
        contextlib.ExitStack() as stack,
    ):
        pods, logs = [], []
        # Sooner than the next full minute, yet as far away as processes take to start here.
        address = servers.announced_address(engine)
        begin = str(round(time.time() + 5 + 5 * (time.monotonic() - asked)))
        for index in range(2):
            command = [PROGRAM, *container["command"][1:]]
            for text in container["args"]:
                for before, after in {
                    "http://chat.ml.svc:80": address,
                    "/etc/firsttoken": str(tmp_path),
                    "/results": str(tmp_path),
                    "$(JOB_COMPLETION_INDEX)": str(index),
                    "job/": f"{index}/",
                    "every:1m": begin,
                    "--model=meta-llama/Meta-Llama-3-8B": "--progress=none",
                }.items():
                    text = text.replace(before, after)
                command.append(text)
            logs.append(tmp_path / f"load-{index}.log")
            pods.append(stack.enter_context(servers.start("load", command, logs[-1])))
        codes = [pod.process.wait(60) for pod in pods]
    records = sorted(tmp_path.glob("*.jsonl"))
    done = subprocess.run(
        [PROGRAM, "load", "merge", *map(str, records), "--out", str(tmp_path / "merged"), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    for code, said in zip(codes, (log.read_text() for log in logs), strict=True):
        # On a machine with other work a load generator may have been late, which ends with 3.
        assert code == (3 if "the load generator was the bottleneck" in said else 0), said
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["shards"]) == 2


def test_several_workers_need_a_place_for_their_records(write: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="results: required with several workers"):
        read(write(load_test=LOAD | {"workers": 2}))


GPU = {"image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.8.2"}


@pytest.mark.parametrize(("vendor", "port"), [("nvidia", 9400), ("amd", 5000)])
def test_the_gpu_exporter_is_beside_each_collector(
    vendor: str, port: int, make: Make, check: Check
) -> None:
    made = make(gpu_exporter=GPU, accelerator={"vendor": vendor})
    config = yaml.safe_load(made.engine[0]["data"]["collector.yaml"])
    service = of_kind(made.gpu_exporter, "Service")
    daemons = of_kind(made.gpu_exporter, "DaemonSet")["spec"]["template"]["spec"]
    policy = of_kind(made.guards, "NetworkPolicy")

    for item in made.gpu_exporter:
        check(item, "1.32")
    assert config["sources"][1]["url"] == f"http://gpu-exporter.gpu-monitoring.svc:{port}/metrics"
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    assert service["spec"]["ports"][0]["targetPort"] == port
    assert str(port) in json.dumps(policy["spec"]["egress"])
    assert daemons["tolerations"][0]["key"] == f"{vendor}.com/gpu"
    assert of_kind(made.gpu_exporter, "Namespace")["metadata"]["name"] == "gpu-monitoring"


@pytest.mark.parametrize("platform", ["deployment", "kserve-standard", "kserve-knative"])
def test_of_a_nodes_gpus_only_the_pods_own_are_read_where_the_pod_knows_itself(
    platform: str, make: Make
) -> None:
    made = make(gpu_exporter=GPU, platform=platform)
    config = Settings.model_validate(yaml.safe_load(made.engine[0]["data"]["collector.yaml"]))
    named = json.dumps(made.engine)

    expected = None if platform == "kserve-knative" else "this"
    assert config.sources[1].only.pod == expected
    assert ("POD_NAMESPACE" in named) == (expected is not None)


def test_two_deployments_bring_the_same_gpu_exporter(make: Make) -> None:
    first, second = make(gpu_exporter=GPU), make(gpu_exporter=GPU, name="other", namespace="b")

    assert first.gpu_exporter == second.gpu_exporter


def test_the_profile_knows_every_counter_that_is_asked_for(make: Make) -> None:
    text = of_kind(make(gpu_exporter=GPU).gpu_exporter, "ConfigMap")["data"]["counters.csv"]
    fields = [line.split(", ")[0] for line in text.splitlines()]
    source = (ROOT / "exporters" / "profiles" / "dcgm.yaml").read_text()

    assert load_profile("dcgm").name == "dcgm"
    assert fields == list(COUNTERS)
    assert all(f"{field}," in source for field in fields if "NVLINK" not in field)
    assert all(len(line.split(", ")) == 3 for line in text.splitlines())


ALERTING = {
    "slack_channel": "#llm",
    "slack": {"name": "slack", "key": "url"},
    "pagerduty": {"name": "pagerduty", "key": "key"},
}


def test_alerts_reach_the_configuration_of_their_namespace(make: Make, check: Check) -> None:
    made = make(SLO, alerting=ALERTING)
    told = of_kind(made.monitoring, "AlertmanagerConfig")
    rules = of_kind(made.monitoring, "PrometheusRule")["spec"]["groups"]
    alerts = [rule for group in rules for rule in group["rules"] if "alert" in rule]

    check(told, "1.32")
    assert told["apiVersion"] == "monitoring.coreos.com/v1alpha1"
    assert alerts
    assert {rule["labels"]["namespace"] for rule in alerts} == {told["metadata"]["namespace"]}
    assert {rule["labels"]["severity"] for rule in alerts} <= {
        *("critical", "warning", "info", "none")
    }


def test_secrets_are_only_pointed_at(make: Make) -> None:
    receivers = of_kind(make(alerting=ALERTING).monitoring, "AlertmanagerConfig")["spec"][
        "receivers"
    ]

    assert receivers[0]["pagerdutyConfigs"][0]["routingKey"] == {"name": "pagerduty", "key": "key"}
    assert receivers[1]["slackConfigs"][0]["apiURL"] == {"name": "slack", "key": "url"}


def test_without_pagerduty_pages_go_to_slack(make: Make) -> None:
    given = {key: value for key, value in ALERTING.items() if key != "pagerduty"}
    receivers = of_kind(make(alerting=given).monitoring, "AlertmanagerConfig")["spec"]["receivers"]

    assert [name for receiver in receivers for name in receiver if name != "name"] == [
        "slackConfigs",
        "slackConfigs",
    ]


@pytest.mark.parametrize("address", [None, {"name": "deadman", "key": "url"}])
def test_the_alert_that_always_fires_bothers_nobody(
    address: dict[str, str] | None, make: Make, check: Check
) -> None:
    made = make(SLO, alerting=ALERTING | {"deadman": address})
    told = of_kind(made.monitoring, "AlertmanagerConfig")
    first = told["spec"]["route"]["routes"][0]
    (watcher,) = [r for r in told["spec"]["receivers"] if r["name"] == first["receiver"]]

    check(told, "1.32")
    assert first["matchers"] == [{"name": "alertname", "value": "LLMWatchdog", "matchType": "="}]
    assert ("webhookConfigs" in watcher) == (address is not None)
