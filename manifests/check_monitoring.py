"""Checks of what watches: rules, alerts, Alertmanager, dashboards, tracing, logs."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from firsttoken.errors import NotJudgedError
from firsttoken.manifests.documents import Item
from firsttoken.manifests.findings import Found, World
from firsttoken.manifests.workloads import PodView

__all__ = ["alertmanager", "alerts", "dashboards", "logs", "rules", "tracing"]

SEVERITIES = ("critical", "warning", "info", "none")
GRPC_PORT, HTTP_PORT = 4317, 4318


def _groups(world: World) -> Iterator[tuple[Item, list[dict[str, Any]]]]:
    """Rule groups of PrometheusRules and of rule files inside ConfigMaps."""
    for item in world.of_kind("PrometheusRule"):
        yield item, list(item.spec.get("groups") or ())
    for item in world.of_kind("ConfigMap"):
        for name, text in (item.content.get("data") or {}).items():
            if not name.endswith((".yaml", ".yml")):
                continue
            try:
                found = yaml.safe_load(text)
            except yaml.YAMLError:
                continue
            if isinstance(found, dict) and isinstance(found.get("groups"), list):
                yield item, found["groups"]


def rules(world: World) -> Found:
    """Prometheus accepts the rules; no group or rule is there twice."""
    for item, groups in _groups(world):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rules.yaml"
            file.write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
            for problem in _promtool(file):
                yield item, problem


def _promtool(file: Path) -> list[str]:
    try:
        done = subprocess.run(
            ["promtool", "check", "rules", "--lint-fatal", str(file)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    except FileNotFoundError:
        raise NotJudgedError(
            "promtool is not installed (Debian package prometheus); --skip rules goes without"
        ) from None
    if done.returncode == 0:
        return []
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return [line.replace(f"{file}: ", "") for line in lines if "FAILED" not in line] or lines


def alerts(world: World) -> Found:
    """Every alert says how bad it is, what is wrong, and in which words."""
    for item, groups in _groups(world):
        for group in groups:
            for rule in group.get("rules") or ():
                if "alert" not in rule:
                    continue
                for message in _alert_problems(rule):
                    yield item, f"{rule['alert']}: {message}"


def _alert_problems(rule: dict[str, Any]) -> Iterator[str]:
    severity = (rule.get("labels") or {}).get("severity")
    if severity not in SEVERITIES:
        yield f"severity is {severity}, not one of {', '.join(SEVERITIES)}"
    annotations = rule.get("annotations") or {}
    for name in ("summary", "description"):
        if not annotations.get(name):
            yield f"has no {name}"


def alertmanager(world: World) -> Found:
    """AlertmanagerConfig has the version that every operator serves."""
    for item in world.of_kind("AlertmanagerConfig"):
        if not item.api_version.endswith("/v1alpha1"):
            yield item, f"{item.api_version} is not served by the operator's usual bundle; v1alpha1"


def dashboards(world: World) -> Found:
    """Dashboards are JSON with a stable uid, and name no data source of their own."""
    for item in world.items:
        for name, text in _dashboards(item):
            try:
                shape = json.loads(text)
            except ValueError as exc:
                yield item, f"{name}: not JSON: {exc}"
                continue
            for message in _dashboard_problems(shape):
                yield item, f"{name}: {message}"


def _dashboards(item: Item) -> Iterator[tuple[str, str]]:
    if item.kind == "GrafanaDashboard" and isinstance(item.spec.get("json"), str):
        yield "json", item.spec["json"]
    labels = item.metadata.get("labels") or {}
    data = item.content.get("data") or {}
    marked = any("dashboard" in key and value == "1" for key, value in labels.items())
    if item.kind == "ConfigMap" and marked:
        yield from ((name, text) for name, text in data.items() if name.endswith(".json"))


def _dashboard_problems(shape: Any) -> Iterator[str]:
    if not isinstance(shape, dict):
        yield "is no dashboard"
        return
    for name in ("uid", "title", "schemaVersion"):
        if not shape.get(name):
            yield f"has no {name}"
    for panel in _panels(shape):
        source = panel.get("datasource")
        uid = source.get("uid") if isinstance(source, dict) else source
        if isinstance(uid, str) and uid and not uid.startswith(("$", "-- ")):
            yield f"panel {panel.get('title')!r} names the data source {uid}; use a variable"


def _panels(shape: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in shape.get("panels") or ():
        yield panel
        yield from _panels(panel)


def _flag(pod: PodView, name: str) -> str | None:
    for engine in pod.engines:
        words = [str(word) for word in engine.get("args") or ()]
        for index, word in enumerate(words):
            flag, equals, value = word.partition("=")
            if flag.replace("_", "-") == name:
                return value if equals else words[index + 1] if words[index + 1 :] else ""
    return None


def _variable(pod: PodView, name: str) -> str | None:
    for engine in pod.engines:
        for variable in engine.get("env") or ():
            if variable.get("name") == name:
                return str(variable.get("value", ""))
    return None


def tracing(world: World) -> Found:
    """The traces' address, port and protocol belong together."""
    for pod in world.pods:
        endpoint = _flag(pod, "--otlp-traces-endpoint")
        if not endpoint or endpoint.startswith("$("):
            continue
        protocol = _variable(pod, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or "grpc"
        address = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        if protocol == "grpc" and address.port == HTTP_PORT:
            yield pod.item, f"{endpoint}: {HTTP_PORT} is HTTP's port, but the protocol is gRPC"
        if protocol == "grpc" and address.scheme == "https":
            yield pod.item, f"{endpoint}: vLLM's gRPC is never encrypted; use http/protobuf"
        if protocol != "grpc" and not address.path.endswith("/v1/traces"):
            yield pod.item, f"{endpoint}: with {protocol} the address must end in /v1/traces"


def logs(world: World) -> Found:
    """Prompts do not end in the logs."""
    for pod in world.pods:
        asked = _flag(pod, "--enable-log-requests") is not None
        if asked and (_variable(pod, "VLLM_LOGGING_LEVEL") or "").upper() == "DEBUG":
            yield pod.item, "--enable-log-requests at level DEBUG writes prompts to the log"
        if _flag(pod, "--enable-log-outputs") is not None:
            yield pod.item, "--enable-log-outputs writes answers to the log"
