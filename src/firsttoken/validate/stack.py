"""The children of a validation: engine, collector and Prometheus, each on a free loopback port."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests
import yaml

from firsttoken import servers
from firsttoken.catalogue import METRICS
from firsttoken.config import format_duration, public_address
from firsttoken.errors import NotJudgedError, UsageError
from firsttoken.prometheus import Prometheus
from firsttoken.rules.alertmanager import Receivers, configuration
from firsttoken.rules.slo import SloFile
from firsttoken.validate.page import Page, parse

__all__ = ["JOB", "Exporter", "Stack", "own_command"]

JOB = "firsttoken"
ENGINE_SOURCE = "engine"
_DISCARD = 9
_TEXT = "text/plain;version=0.0.4"


def own_command(*arguments: str) -> list[str]:
    """The command line of a sub-command of ours, run by this same Python."""
    return [sys.executable, "-m", "firsttoken", *arguments]


class Exporter:
    """A GPU exporter as given on the command line: ``URL`` or ``URL,profile=NAME``."""

    def __init__(self, text: str) -> None:
        self.url, _, profile = text.partition(",")
        self.profile = profile.removeprefix("profile=") or None
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(f"--gpu-exporter {public_address(text)}: expected URL or URL,PROFILE")


class Stack:
    """Starts what a validation needs; everything ends with the ``exits`` it is given."""

    def __init__(self, folder: Path, exits: contextlib.ExitStack) -> None:
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._exits = exits
        self.engine: servers.Child | None = None
        self.page_url: str | None = None

    def simulate(self, faults: Sequence[str], gpus: int) -> str:
        """The embedded engine; its URL once it listens.  Raises NotJudgedError."""
        arguments = ["simulate", "--listen", "127.0.0.1:0", "--gpus", str(gpus)]
        for fault in faults:
            arguments += ["--fault", fault]
        child, url = self._own("simulate", arguments)
        self.engine = child
        return url

    def collector(self, engine: str, exporters: Sequence[Exporter], timeout: float) -> str:
        """The collector in front of the engine; the URL of its page.  Raises NotJudgedError."""
        sources: list[dict[str, str]] = [{"name": ENGINE_SOURCE, "url": f"{engine}/metrics"}]
        for number, exporter in enumerate(exporters, 1):
            name = "gpu" if len(exporters) == 1 else f"gpu-{number}"
            source = {"name": name, "url": exporter.url}
            if exporter.profile:
                source["profile"] = exporter.profile
            sources.append(source)
        shape = {"version": "firsttoken/v1", "timeout": format_duration(timeout)}
        # An address may hold a password: what is kept with the report does not.
        kept = [{**source, "url": public_address(source["url"])} for source in sources]
        (self._logs / "collector.yaml").write_text(
            yaml.safe_dump({**shape, "sources": kept}, sort_keys=False), encoding="utf-8"
        )
        folder = self._exits.enter_context(tempfile.TemporaryDirectory())
        config = Path(folder) / "collector.yaml"
        config.write_text(
            yaml.safe_dump({**shape, "sources": sources}, sort_keys=False), encoding="utf-8"
        )
        _, url = self._own(
            "collector", ["collect", "--config", str(config), "--listen", "127.0.0.1:0"]
        )
        self.page_url = f"{url}/metrics"
        return self.page_url

    def page(self) -> tuple[Page, str]:
        """The merged page as it is now, parsed and as text.  Raises NotJudgedError."""
        if self.page_url is None:
            raise NotJudgedError("the collector is not running")
        try:
            response = requests.get(self.page_url, headers={"Accept": _TEXT}, timeout=30)
        except requests.RequestException as exc:
            raise NotJudgedError(f"the collector does not answer: {type(exc).__name__}") from None
        if not response.ok:
            # Its 503 says which source could not be read, and why.
            said = response.text.split("\n") if response.status_code == 503 else ["see its log"]
            why = "; ".join(line for line in said if line)
            raise NotJudgedError(f"the collector answers {response.status_code}: {why}")
        return parse(response.text), response.text

    def alertmanager(self) -> str:
        """An Alertmanager with the routing that is generated; its URL.

        Whom it would tell is an address on which nobody listens.  Raises NotJudgedError.
        """
        nobody = f"http://127.0.0.1:{_DISCARD}/"
        shape = configuration(Receivers(page_webhook=nobody, ticket_webhook=nobody))
        config = self._logs / "alertmanager.yml"
        config.write_text(yaml.safe_dump(shape, sort_keys=False), encoding="utf-8")
        self._exits.callback(
            shutil.rmtree, self._logs / "alertmanager-data", ignore_errors=True
        )  # run after it has ended
        _, url = self._exits.enter_context(servers.alertmanager(config, self._logs))
        return url

    def prometheus(
        self, rules: Path, slo: SloFile, interval: float, *, alertmanager: str | None = None
    ) -> Prometheus:
        """A private Prometheus with the rules that scrapes the collector.

        Raises NotJudgedError when it is not installed or refuses the rules.
        """
        if self.page_url is None:
            raise NotJudgedError("the collector is not running")
        config = self._logs / "prometheus.yml"
        shape = prometheus_config(
            self.page_url, rules, slo.selector, interval, alertmanager=alertmanager
        )
        config.write_text(yaml.safe_dump(shape, sort_keys=False), encoding="utf-8")
        self._exits.callback(
            shutil.rmtree, self._logs / "prometheus-data", ignore_errors=True
        )  # what it measured is in the report; run after Prometheus has ended
        _, url = self._exits.enter_context(servers.prometheus(config, self._logs))
        return Prometheus(url)

    def _own(self, name: str, arguments: Sequence[str]) -> tuple[servers.Child, str]:
        log = self._logs / f"{name}.log"
        child = self._exits.enter_context(servers.start(name, own_command(*arguments), log))
        return child, servers.announced_address(child)


def prometheus_config(
    page: str,
    rules: Path,
    selector: Mapping[str, str],
    interval: float,
    *,
    alertmanager: str | None = None,
) -> dict[str, object]:
    """A configuration with one target, the collector.

    The labels by which the objectives select their service, such as a namespace, are put on the
    target, because nothing else would; those that the engine itself reports are left to it.
    """
    reported = {attribute.label for metric in METRICS for attribute in metric.attributes}
    labels = {name: value for name, value in selector.items() if name not in reported}
    every = format_duration(interval)
    told = [{"targets": [alertmanager.removeprefix("http://")]}] if alertmanager else []
    return {
        "alerting": {"alertmanagers": [{"static_configs": told}]},
        "global": {
            "scrape_interval": every,
            "scrape_timeout": every,
            "evaluation_interval": every,
        },
        "rule_files": [str(rules.resolve())],
        "scrape_configs": [
            {
                "job_name": JOB,
                "metrics_path": "/metrics",
                "static_configs": [
                    {
                        "targets": [page.removeprefix("http://").removesuffix("/metrics")],
                        "labels": labels,
                    }
                ],
            }
        ],
    }
