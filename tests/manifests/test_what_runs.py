"""What the manifests say is what runs: sidecar, scrape and rules, with real processes."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from firsttoken import servers
from firsttoken.errors import NotJudgedError
from firsttoken.manifests.bundle import Bundle, read
from firsttoken.manifests.doctor import ask_prometheus
from firsttoken.manifests.sidecar import CONFIG_DIR
from firsttoken.manifests.spec import DeploymentSpec
from firsttoken.prometheus import Prometheus
from firsttoken.rules.slo import SloFile

ROOT = Path(__file__).parents[2]
SLO = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())
PROGRAM = str(Path(sys.executable).with_name("firsttoken"))

POD = {"NODE_NAME": "n-1", "POD_NAME": "chat-abc", "POD_NAMESPACE": "ml", "POD_UID": "u-1"}

Make = Callable[..., Bundle]


def sidecar_of(made: Bundle) -> dict[str, Any]:
    sidecar: dict[str, Any] = made.engine[-1]["spec"]["template"]["spec"]["initContainers"][0]
    return sidecar


def command(made: Bundle, folder: Path) -> list[str]:
    """The sidecar's command; its volume is mounted at ``folder``."""
    for name, text in made.engine[0]["data"].items():
        (folder / name).write_text(text)
    sidecar = sidecar_of(made)
    assert sidecar["command"][0] == "firsttoken"
    # The test's environment stands for the pod's, which says nothing but where it is.
    assert {each["name"] for each in sidecar["env"]} == set(POD)
    assert all("fieldRef" in each["valueFrom"] for each in sidecar["env"])
    arguments = [text.replace(CONFIG_DIR, str(folder)) for text in sidecar["args"]]
    return [PROGRAM, *sidecar["command"][1:], *arguments]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded engine, in the place of vLLM."""
    log = tmp_path_factory.mktemp("engine") / "log"
    with servers.start("engine", [PROGRAM, "simulate", "--listen", "127.0.0.1:0"], log) as child:
        yield servers.announced_address(child)


def scrape_config(made: Bundle, pods: list[dict[str, Any]]) -> dict[str, Any]:
    """The scrape job that the Prometheus operator makes of the PodMonitor, on discovered pods."""
    monitor = made.monitoring[0]
    spec, (endpoint,) = monitor["spec"], monitor["spec"]["podMetricsEndpoints"]
    place = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"

    def keep(label: str, value: str) -> dict[str, Any]:
        return {"action": "keep", "source_labels": [label], "regex": value}

    def copy(label: str, to: str) -> dict[str, Any]:
        return {"source_labels": [label], "target_label": to}

    def meta(name: str) -> str:
        return "__meta_kubernetes_" + name.translate(str.maketrans("./-", "___"))

    return {
        "job_name": f"podMonitor/{place}/0",
        "metrics_path": endpoint["path"],
        "scheme": endpoint["scheme"],
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["scrapeTimeout"],
        "honor_labels": endpoint["honorLabels"],
        "sample_limit": spec["sampleLimit"],
        "label_limit": spec["labelLimit"],
        "label_value_length_limit": spec["labelValueLengthLimit"],
        "body_size_limit": spec["bodySizeLimit"],
        "static_configs": [
            {"targets": [pod["address"]], "labels": {meta(k): v for k, v in pod["meta"].items()}}
            for pod in pods
        ],
        "relabel_configs": [
            *(
                keep(meta(f"pod_label_{name}"), value)
                for name, value in spec["selector"]["matchLabels"].items()
            ),
            keep(meta("namespace"), "|".join(spec["namespaceSelector"]["matchNames"])),
            keep(meta("pod_container_port_name"), endpoint["port"]),
            copy(meta("namespace"), "namespace"),
            copy(meta("pod_container_name"), "container"),
            copy(meta("pod_name"), "pod"),
            {"target_label": "job", "replacement": place},
            {"target_label": "endpoint", "replacement": endpoint["port"]},
        ],
    }


def discovered(made: Bundle, name: str, address: Callable[[int], str]) -> list[dict[str, Any]]:
    """What Prometheus discovers of one pod: a target for each port of each container."""
    template = made.engine[-1]["spec"]["template"]
    common = {
        "namespace": made.engine[-1]["metadata"]["namespace"],
        "pod_name": f"{name}-abc",
        **{f"pod_label_{key}": value for key, value in template["metadata"]["labels"].items()},
    }
    containers = template["spec"]["containers"] + template["spec"]["initContainers"]
    return [
        {
            "address": address(port["containerPort"]),
            "meta": common
            | {"pod_container_name": container["name"], "pod_container_port_name": port["name"]},
        }
        for container in containers
        for port in container["ports"]
    ]


def wait_for(url: str, expression: str) -> list[dict[str, Any]]:
    """The result of a query, when there is one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = requests.get(f"{url}/api/v1/query", params={"query": expression}, timeout=30)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"no result of {expression} in 30 s")


def test_prometheus_scrapes_the_sidecar_alone_and_evaluates_the_rules(
    make: Make, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in POD.items():
        monkeypatch.setenv(name, value)
    model = requests.get(f"{engine}/v1/models", timeout=30).json()["data"][0]["id"]
    body = {"model": model, "prompt": "one two three", "max_tokens": 4}
    requests.post(f"{engine}/v1/completions", json=body, timeout=30).raise_for_status()
    other = make(name="chat-2")
    for attempt in range(5):
        made = make(
            SLO,
            engine={"port": int(engine.rsplit(":", 1)[1])},
            collector={"image": "ft:1", "port": servers.free_port()},
            monitoring={"interval": "1s"},
        )
        config = tmp_path / f"mount-{attempt}"
        config.mkdir()
        log = tmp_path / f"collector-{attempt}.log"
        with servers.start("collector", command(made, config), log) as child:
            try:
                servers.announced_address(child)
            except NotJudgedError:
                continue  # another process took the port meanwhile
            _judge(made, other, tmp_path, *read(tmp_path / "deployment.yaml"))
            return
    raise AssertionError("no free port in five attempts")


def _judge(
    made: Bundle, other: Bundle, folder: Path, spec: DeploymentSpec, slo: SloFile | None
) -> None:
    sidecar = sidecar_of(made)
    port = sidecar["ports"][0]["containerPort"]
    for probe in ("startupProbe", "livenessProbe"):
        path = sidecar[probe]["httpGet"]["path"]
        requests.get(f"http://127.0.0.1:{port}{path}", timeout=30).raise_for_status()
    pods = [
        *discovered(made, "chat", lambda port: f"127.0.0.1:{port}"),
        *discovered(other, "chat-2", lambda _port: f"127.0.0.1:{port}"),
    ]
    assert len(pods) == 4
    (folder / "rules.yaml").write_text(yaml.safe_dump(made.monitoring[1]["spec"]))
    config = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [scrape_config(made, pods)],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with servers.prometheus(folder / "prometheus.yaml", folder) as (_, url):
        (up,) = wait_for(url, "up == 1")
        assert up["metric"] == {
            "__name__": "up", "container": "collector", "endpoint": "ft-metrics",
            "instance": f"127.0.0.1:{port}", "job": "ml/chat", "namespace": "ml", "pod": "chat-abc",
        }  # fmt: skip
        (count,) = wait_for(
            url, 'sum(gen_ai_server_time_to_first_token_seconds_count{job="ml/chat"}) > 0'
        )
        assert float(count["value"][1]) >= 1
        (target,) = wait_for(url, 'target_info{job="ml/chat"}')
        assert target["metric"]["k8s_pod_name"] == "chat-abc"
        assert target["metric"]["service_name"] == "chat"
        assert wait_for(url, 'slo:info{service="chat", slo="ttft"}')
        groups = requests.get(f"{url}/api/v1/rules", timeout=30).json()["data"]["groups"]
        wrong = [rule for group in groups for rule in group["rules"] if rule.get("lastError")]
        assert groups
        assert wrong == [], json.dumps(wrong)
        assert list(ask_prometheus(Prometheus(url), spec, slo)) == []
