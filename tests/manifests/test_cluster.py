"""A deployment in a cluster: applied, compared, waited for, taken out; what is refused is said."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from firsttoken.cli import main
from firsttoken.manifests import rollout
from firsttoken.manifests.bundle import Bundle
from firsttoken.manifests.cluster import Cluster
from firsttoken.servers import free_port

Write = Callable[..., Path]
Make = Callable[..., Bundle]
Run = Callable[..., tuple[int, str, str]]
KEY = ("Deployment", "ml", "chat")


@pytest.fixture
def file(write: Write) -> Path:
    return write(monitoring={"dashboards": "none"}, cache="10Gi", replicas=2)


def test_applying_twice_changes_nothing(file: Path, on_cluster: Run) -> None:
    code, first, _ = on_cluster("apply", file)
    again, second, _ = on_cluster("apply", file)

    assert (code, again) == (0, 0)
    assert first.splitlines()[-2:] == ["Deployment/chat created", "PodMonitor/chat created"]
    assert all(line.endswith(" unchanged") for line in second.splitlines())
    assert on_cluster("diff", file) == (0, "", "")


def test_a_dry_run_keeps_nothing(file: Path, on_cluster: Run, server: Any) -> None:
    code, out, _ = on_cluster("apply", file, "--dry-run")

    assert code == 0
    assert "Deployment/chat created" in out
    assert server.objects == {}


def test_diff_shows_what_would_change(
    file: Path, on_cluster: Run, write: Write, server: Any
) -> None:
    on_cluster("apply", file)
    before = dict(server.objects)
    changed = write(monitoring={"dashboards": "none"}, cache="10Gi", replicas=3)

    code, out, err = on_cluster("diff", changed)

    assert code == 1
    assert "-  replicas: 2\n+  replicas: 3\n" in out
    assert "1 of 7 objects would change" in err
    assert server.objects == before


def test_a_field_that_another_manager_set_is_a_conflict(
    file: Path, on_cluster: Run, server: Any
) -> None:
    on_cluster("apply", file)
    server.set_field(KEY, "spec.replicas", 5, "someone")

    code, out, err = on_cluster("apply", file)
    assert code == 1
    assert 'Deployment/chat failed: Apply failed with 1 conflict: conflict with "someone"' in out
    assert "--force-conflicts takes these fields over" in out
    assert "1 of 7 objects failed" in err
    assert server.objects[KEY]["spec"]["replicas"] == 5

    assert on_cluster("apply", file, "--force-conflicts")[0] == 0
    assert server.objects[KEY]["spec"]["replicas"] == 2


def test_what_may_not_be_done_costs_itself_only(file: Path, on_cluster: Run, server: Any) -> None:
    server.forbidden.add(("PATCH", "networkpolicies"))

    code, out, _ = on_cluster("apply", file)

    assert code == 1
    assert (
        "NetworkPolicy/chat failed: this account may not patch NetworkPolicy in namespace ml" in out
    )
    assert "Deployment/chat created" in out


def test_a_missing_definition_is_said(file: Path, on_cluster: Run, server: Any) -> None:
    del server.kinds["monitoring.coreos.com/v1"]

    code, out, _ = on_cluster("apply", file)

    assert code == 1
    assert (
        "PodMonitor/chat failed: the cluster has no PodMonitor of monitoring.coreos.com/v1" in out
    )


def test_a_busy_server_is_asked_again(file: Path, on_cluster: Run, server: Any) -> None:
    server.busy = 3

    assert on_cluster("apply", file)[0] == 0


def test_pruning_takes_out_what_the_file_no_longer_has(
    file: Path, on_cluster: Run, write: Write, server: Any
) -> None:
    on_cluster("apply", file)
    server.apply(("ConfigMap", "ml", "theirs"), {"metadata": {"name": "theirs"}}, "x",
                 force=False, dry_run=False)  # fmt: skip
    smaller = write(monitoring={"dashboards": "none"}, replicas=1)

    code, out, _ = on_cluster("apply", smaller, "--prune")

    assert code == 0
    assert "PodDisruptionBudget/chat deleted" in out
    # A claim holds data, and the other object is nobody's here.
    assert ("PersistentVolumeClaim", "ml", "chat-cache") in server.objects
    assert ("ConfigMap", "ml", "theirs") in server.objects


def test_deleting_keeps_data_unless_told_otherwise(
    file: Path, on_cluster: Run, server: Any
) -> None:
    on_cluster("apply", file)

    code, out, _ = on_cluster("delete", file)
    assert code == 0
    assert out.splitlines()[0] == "PodMonitor/chat deleted"
    assert list(server.objects) == [("PersistentVolumeClaim", "ml", "chat-cache")]

    code, out, _ = on_cluster("delete", file, "--all")
    assert "Deployment/chat absent" in out
    assert server.objects == {}


def ready(server: Any, count: int, updated: int = 2) -> None:
    live = server.objects[KEY]
    live["status"] = {
        "observedGeneration": live["metadata"]["generation"],
        "replicas": 2,
        "updatedReplicas": updated,
        "readyReplicas": count,
    }
    server.touched(KEY)


def test_waiting_ends_when_all_replicas_are_ready(file: Path, on_cluster: Run, server: Any) -> None:
    on_cluster("apply", file)
    ready(server, 2)

    code, out, err = on_cluster("wait", file)

    assert (code, out, err) == (0, "", "Deployment/chat: 2 of 2 ready, 2 up to date\n")


def test_waiting_says_where_the_model_stands(make: Make, server: Any, kubeconfig: Path) -> None:
    made = make(replicas=2, monitoring={"dashboards": "none"})
    cluster = Cluster.connect(kubeconfig, None)
    list(rollout.apply(cluster, made.objects))
    pod = {
        "metadata": {"name": "chat-1", "namespace": "ml",
                     "labels": {"firsttoken.dev/deployment": "chat"}},
        "status": {"containerStatuses": [
            {"name": "vllm", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
        ]},
    }  # fmt: skip
    server.apply(("Pod", "ml", "chat-1"), pod, "kubelet", force=False, dry_run=False)
    said: list[str] = []
    now = 0.0

    def changed(_item: object, _seconds: float) -> None:
        nonlocal now
        now += 2
        waiting = server.objects[("Pod", "ml", "chat-1")]["status"]["containerStatuses"][0]
        if now == 4:
            waiting["state"] = {"running": {}}
        if now == 8:
            ready(server, 2)

    done = rollout.wait(
        cluster, [made.engine[-1]], timeout=60, report=said.append, clock=lambda: now,
        changed=changed,
    )  # fmt: skip

    assert done
    assert said == [
        "Deployment/chat: 0 of 2 ready, 0 up to date; chat-1: vllm ImagePullBackOff",
        "Deployment/chat: 0 of 2 ready, 0 up to date; chat-1: vllm loads",
        "Deployment/chat: 2 of 2 ready, 2 up to date",
    ]


def applied(server: Any, kubeconfig: Path, make: Make) -> tuple[Cluster, dict[str, Any]]:
    """A cluster with a deployment that is not ready, and that deployment."""
    cluster = Cluster.connect(kubeconfig, None)
    made = make(replicas=2, monitoring={"dashboards": "none"})
    list(rollout.apply(cluster, made.objects))
    return cluster, made.engine[-1]


def watches(server: Any) -> list[str]:
    return [path for _, path in server.requests if "watch=" in path]


def test_a_change_is_seen_at_once(make: Make, server: Any, kubeconfig: Path) -> None:
    """Whatever the pause between two looks: this one would be longer than the test may take."""
    cluster, item = applied(server, kubeconfig, make)
    live = cluster.get(item)
    assert live is not None
    timer = threading.Timer(0.2, ready, (server, 2))
    timer.start()

    cluster.changed(live, 1000)

    timer.join()
    (path,) = watches(server)
    assert "fieldSelector=metadata.name%3Dchat" in path
    assert rollout.wait(cluster, [item], timeout=0, report=lambda _: None)


def test_a_version_that_the_server_has_forgotten_is_read_anew(
    make: Make, server: Any, kubeconfig: Path
) -> None:
    cluster, item = applied(server, kubeconfig, make)
    live = cluster.get(item)
    assert live is not None
    server.forgotten = server.version

    cluster.changed(live, 1000)

    assert len(watches(server)) == 1


def test_who_may_not_watch_looks_again_after_a_pause(
    make: Make, server: Any, kubeconfig: Path
) -> None:
    server.forbidden.add(("WATCH", "deployments"))
    cluster, item = applied(server, kubeconfig, make)
    slept: list[float] = []
    cluster._sleep = slept.append

    cluster.changed(cluster.get(item) or {}, 5)

    assert slept == [5]


def test_old_pods_that_still_serve_are_not_taken_for_new_ones() -> None:
    live = {
        "kind": "Deployment",
        "metadata": {"generation": 2},
        "spec": {"replicas": 2},
        "status": {
            "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2
        },
    }  # fmt: skip
    assert rollout.state(live)[0] is False
    live["status"] |= {"observedGeneration": 2, "updatedReplicas": 1}  # type: ignore[operator]
    assert rollout.state(live)[0] is False
    live["status"] |= {"updatedReplicas": 2}  # type: ignore[operator]
    assert rollout.state(live)[0] is True


def test_not_ready_in_time_is_a_failure(file: Path, on_cluster: Run) -> None:
    on_cluster("apply", file)

    code, _, err = on_cluster("wait", file, "--timeout", "0s")

    assert code == 1
    assert "0 of 2 ready" in err
    assert err.endswith("firsttoken: not ready after 0 s\n")


def test_no_cluster_is_one_line(
    file: Path, tmp_path: Path, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{free_port()}"
    gone.write_text(yaml.safe_dump(config))
    for place, expected in ((gone, 3), (tmp_path / "absent", 2)):
        with pytest.raises(SystemExit) as left:
            main(["manifests", "diff", str(file), "--kubeconfig", str(place)])
        err = capsys.readouterr().err
        assert left.value.code == expected
        assert err.startswith("firsttoken: ")
        assert err.count("\n") == 1
        assert "t0ken" not in err


def test_check_takes_the_definitions_of_custom_resources_from_the_cluster(
    tmp_path: Path, on_cluster: Run, server: Any
) -> None:
    schema = {"type": "object", "properties": {"spec": {
        "type": "object", "properties": {"size": {"type": "integer"}}}}}  # fmt: skip
    group = "apiextensions.k8s.io/v1"
    server.kinds[group] = {"CustomResourceDefinition": "customresourcedefinitions"}
    definition = {
        "apiVersion": group,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Widget"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
        },
    }
    server.apply(("CustomResourceDefinition", "", "widgets.example.com"), definition, "x",
                 force=False, dry_run=False)  # fmt: skip
    file = tmp_path / "widget.yaml"
    file.write_text(
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a, namespace: ml}\n"
        "spec: {sise: 1}\n"
    )

    code, out, _ = on_cluster("check", file, "--cluster", "--skip", "labels")

    assert code == 1
    assert "'sise' was unexpected" in out
