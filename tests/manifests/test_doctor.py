"""``manifests doctor`` says why there is no data, and nothing where there is."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from firsttoken import servers
from firsttoken.cli import main
from firsttoken.manifests.bundle import Bundle, read
from firsttoken.manifests.doctor import ask_prometheus
from firsttoken.prometheus import Prometheus

SLO = yaml.safe_load((Path(__file__).parents[2] / "examples" / "slo.yaml").read_text())
PAGE = """\
gen_ai_server_requests_running{gen_ai_request_model="meta-llama/Meta-Llama-3-8B",pod="x"} 1
firsttoken_collector_source_up{firsttoken_source="gpu"} 0
"""
SELECTED: dict[str, Any] = {"podMonitorSelector": {}, "podMonitorNamespaceSelector": {},
            "ruleSelector": {}, "ruleNamespaceSelector": {}}  # fmt: skip

Write = Callable[..., Path]
Make = Callable[..., Bundle]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(write: Write) -> Path:
    return write(SLO, monitoring={"dashboards": "none"})


@pytest.fixture
def running(file: Path, on_cluster: Run, server: Any, make: Make) -> Any:
    """A cluster in which everything is as it should be."""
    server.kinds["monitoring.coreos.com/v1"]["Prometheus"] = "prometheuses"
    on_cluster("apply", file)
    put(server, "Prometheus", "monitoring", "main", {"spec": dict(SELECTED)})
    template = make(SLO, monitoring={"dashboards": "none"}).engine[-1]["spec"]["template"]
    put(server, "Pod", "ml", "chat-1", template)
    return server


def put(server: Any, kind: str, namespace: str, name: str, body: dict[str, Any]) -> None:
    metadata = body.get("metadata", {}) | {"name": name, "namespace": namespace}
    server.apply((kind, namespace, name), body | {"metadata": metadata}, "x",
                 force=False, dry_run=False)  # fmt: skip


def test_nothing_is_wrong_where_all_is_well(file: Path, on_cluster: Run, running: Any) -> None:
    assert on_cluster("doctor", file) == (0, "nothing wrong\n", "")


def test_a_monitor_that_is_not_selected(file: Path, on_cluster: Run, running: Any) -> None:
    prometheus = running.objects[("Prometheus", "monitoring", "main")]["spec"]
    prometheus["podMonitorSelector"] = {"matchLabels": {"release": "other"}}
    prometheus["ruleNamespaceSelector"] = None

    code, out, err = on_cluster("doctor", file)

    assert code == 1
    assert "selects PodMonitors with {'release': 'other'}, and chat is none of them" in out
    assert "looks for PrometheusRules in its own namespace only" in out
    assert "2 things wrong" in err


def test_what_was_never_applied(file: Path, on_cluster: Run, server: Any) -> None:
    code, out, _ = on_cluster("doctor", file)

    assert code == 1
    assert "PodMonitor chat is not there\n  apply the deployment" in out
    assert "namespace ml has no pod with firsttoken.dev/deployment=chat" in out


def test_a_pod_without_the_named_port_and_with_kserves_annotation(
    file: Path, on_cluster: Run, running: Any
) -> None:
    pod = running.objects[("Pod", "ml", "chat-1")]
    pod["spec"]["initContainers"][0]["ports"][0]["name"] = "metrics"
    pod["metadata"]["annotations"]["prometheus.io/scrape"] = "true"

    _, out, _ = on_cluster("doctor", file)

    assert "no port of the collector is called ft-metrics" in out
    assert "asks to be scraped by annotation too" in out


def test_a_policy_that_keeps_prometheus_out(file: Path, on_cluster: Run, running: Any) -> None:
    policy = running.objects[("NetworkPolicy", "ml", "chat")]
    rule = next(r for r in policy["spec"]["ingress"] if r["ports"][0]["port"] == 9464)
    labels = rule["from"][0]["namespaceSelector"]["matchLabels"]
    assert on_cluster("doctor", file)[0] == 0
    labels["kubernetes.io/metadata.name"] = "elsewhere"

    code, out, _ = on_cluster("doctor", file)

    assert code == 1
    assert "NetworkPolicy chat: namespace monitoring may not reach port 9464" in out


def test_a_cluster_without_the_operator(file: Path, on_cluster: Run, server: Any) -> None:
    del server.kinds["monitoring.coreos.com/v1"]

    _, out, _ = on_cluster("doctor", file)

    assert "the Prometheus operator must be installed" in out


@contextmanager
def serving(text: str) -> Iterator[str]:
    """HOST:PORT of a server that answers everything with the text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *_args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def job(name: str, pod: str, *targets: str) -> dict[str, Any]:
    labels = {"namespace": "ml", "pod": pod}
    return {"job_name": name, "scrape_interval": "1s",
            "static_configs": [{"targets": list(targets), "labels": labels}]}  # fmt: skip


class Watched(NamedTuple):
    """A Prometheus, and the target that is down."""

    prometheus: Prometheus
    closed: str


@pytest.fixture(name="watched", scope="module")
def _watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A real Prometheus of two deployments, of which the first has every trouble but one.

    One for all: it takes five seconds until it looks for its first targets.
    """
    folder = tmp_path_factory.mktemp("prometheus")
    closed = f"127.0.0.1:{servers.free_port()}"
    gpu = 'firsttoken_collector_source_up{firsttoken_source="gpu"} 1\n'
    with serving(PAGE) as page, serving(gpu) as other:
        jobs = [
            job("ml/chat", "chat-1", page, closed),
            job("kubernetes-pods", "chat-1", page),
            job("ml/other", "other-1", other),
        ]
        config = folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump({"scrape_configs": jobs}))
        with servers.prometheus(config, folder) as (child, url):
            found = Prometheus(url)
            ready = "count(up) == 4 and count(up == 1) == 3"
            servers.wait_until(child, lambda: bool(found.query(ready)))
            yield Watched(found, closed)


def symptoms(file: Path, watched: Watched) -> str:
    found = ask_prometheus(watched.prometheus, *read(file))
    return "\n".join(f"{symptom.found}: {symptom.remedy}" for symptom in found)


def test_a_prometheus_that_does_not_know_the_deployment(write: Write, watched: Watched) -> None:
    out = symptoms(write(SLO, name="new"), watched)

    assert 'Prometheus has no target with {job="ml/new"}: it does not select the PodMonitor' in out
    assert "no rules of service chat are loaded" in out


def test_what_is_down_scraped_twice_or_renamed(file: Path, watched: Watched) -> None:
    """A source behind the collector that is down, and a label that discovery sets too."""
    out = symptoms(file, watched)

    assert f"target http://{watched.closed}/metrics is down" in out
    assert "the collector does not listen" in out
    assert "cannot read its source gpu" in out
    assert "is reported by the jobs kubernetes-pods and ml/chat" in out
    assert "series carry exported_pod" in out
    assert "exported_instance" not in out


def test_an_exporter_that_does_not_say_whose_its_gpus_are(write: Write, watched: Watched) -> None:
    gpu = {"image": "ft:1", "gpu_exporter": "http://gpu.svc:9400/metrics"}
    out = symptoms(write(collector=gpu, name="other"), watched)

    assert "none of its GPUs is the pod's" in out


def test_nobody_to_ask_is_a_mistake(file: Path, on_cluster: Run) -> None:
    code, _, err = on_cluster("doctor", file, "--no-cluster")

    assert code == 2
    assert "nobody to ask" in err


def test_the_doctor_is_called_by_its_own_name_too(
    file: Path, running: Any, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["doctor", str(file), "--kubeconfig", str(kubeconfig)])

    assert (left.value.code, capsys.readouterr().out) == (0, "nothing wrong\n")
