"""The variables of the dashboards and the matchers that use them."""

from dataclasses import replace
from typing import Any

from firsttoken import recorded
from firsttoken.catalogue import (
    ENGINE,
    HW_ID,
    HW_VENDOR,
    REQUEST_MODEL,
    REQUESTS_RUNNING,
    Metric,
)
from firsttoken.dashboards.grafana import DATASOURCE
from firsttoken.promql import Scope, selector
from firsttoken.vocabulary import Vocabulary

__all__ = [
    "PLACE",
    "bound",
    "datasource",
    "engine_scope",
    "gpu_scope",
    "gpu_variables",
    "instance",
    "objective_matchers",
    "objective_variables",
    "one_of",
    "other_source",
    "replica_scope",
    "replica_variables",
    "service_variables",
    "target_matchers",
    "target_variables",
    "targets",
    "textbox",
    "threshold",
    "up",
    "window",
]

UP = "up"
"""Prometheus' own: 1 if the last scrape of a target worked."""


def datasource() -> dict[str, Any]:
    """The choice of the Prometheus to ask; the default one at first."""
    return other_source("datasource", "Data source", "prometheus")


def other_source(name: str, label: str, kind: str) -> dict[str, Any]:
    """The choice of a data source of some kind, such as ``loki``."""
    return {
        "type": "datasource",
        "name": name,
        "label": label,
        "query": kind,
        "current": {"text": "default", "value": "default"},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
    }


def _from_labels(
    name: str, label: str, series: str, of: str, *, every: str = ".*"
) -> dict[str, Any]:
    """All values of the label ``of`` on the series; ``every`` is the regex that All stands for.

    ``.*`` also finds series without the label, which ``.+`` does not.
    """
    query = f"label_values({series}, {of})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": dict(DATASOURCE),
        "query": query,
        "definition": query,
        "allValue": every,
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "sort": 1,
    }


def textbox(name: str, label: str, default: str) -> dict[str, Any]:
    """A value that the reader types."""
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "query": default,
        "current": {"text": default, "value": default},
        "hide": 0,
        "options": [{"selected": True, "text": default, "value": default}],
    }


def one_of(name: str, label: str, series: str, of: str, default: str) -> dict[str, Any]:
    """Exactly one of a label's values, such as a bucket bound that exists."""
    variable = _from_labels(name, label, series, of)
    variable |= {"includeAll": False, "multi": False, "sort": 3}
    variable["current"] = {"text": default, "value": default}
    del variable["allValue"]
    return variable


# --- Scraped series ---------------------------------------------------------------------------

PLACE = ("job", "cluster", "namespace")


def target_matchers(*labels: str) -> str:
    """``label=~"$label"`` for each label."""
    return ", ".join(f'{label}=~"${label}"' for label in labels)


def targets() -> str:
    """The chosen targets: place and instance."""
    return target_matchers(*PLACE, "instance")


def up(matchers: str) -> str:
    """Prometheus' own series about its targets."""
    return f"{UP}{{{matchers}}}"


def target_variables() -> list[dict[str, Any]]:
    """Data source, job, cluster and namespace, from ``up``: a target that is down stays listed."""
    return [
        datasource(),
        _from_labels("job", "Job", UP, "job", every=".+"),
        _from_labels("cluster", "Cluster", up(target_matchers("job")), "cluster"),
        _from_labels("namespace", "Namespace", up(target_matchers("job", "cluster")), "namespace"),
    ]


def instance() -> dict[str, Any]:
    """The instances of the chosen place, also those that are down."""
    return _from_labels("instance", "Instance", up(target_matchers(*PLACE)), "instance", every=".+")


def _labels_of(metric: Metric, vocabulary: Vocabulary, matchers: str) -> str:
    return selector(metric, Scope(vocabulary=vocabulary, extra=matchers))


def _model(vocabulary: Vocabulary) -> dict[str, Any]:
    series = _labels_of(REQUESTS_RUNNING, vocabulary, target_matchers(*PLACE))
    return _from_labels("model", "Model", series, vocabulary.label(REQUEST_MODEL.name))


def service_variables(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Where the engines are, which model and which instance."""
    return [*target_variables(), _model(vocabulary), instance()]


def engine_scope(vocabulary: Vocabulary, *by: str) -> Scope:
    """The engines that the service variables choose, kept apart by ``by``."""
    model = f'{vocabulary.label(REQUEST_MODEL.name)}=~"$model"'
    return Scope(
        by=by,
        vocabulary=vocabulary,
        extra=f"{target_matchers(*PLACE, 'instance')}, {model}",
    )


def replica_variables(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """The service variables and the engine rank."""
    matchers = target_matchers(*PLACE, "instance")
    series = _labels_of(REQUESTS_RUNNING, vocabulary, matchers)
    rank = _from_labels("engine", "Engine rank", series, vocabulary.label(ENGINE.name))
    return [*service_variables(vocabulary), rank]


def replica_scope(vocabulary: Vocabulary, *by: str) -> Scope:
    """The engine ranks that the replica variables choose."""
    scope = engine_scope(vocabulary, *by)
    rank = f'{vocabulary.label(ENGINE.name)}=~"$engine"'
    return Scope(by=by, vocabulary=vocabulary, extra=f"{scope.extra}, {rank}")


def bound(name: str, label: str, metric: Metric, scope: Scope, default: str) -> dict[str, Any]:
    """A bucket bound of a histogram, one of those that exist."""
    series = selector(metric, replace(scope, extra=target_matchers(*PLACE)), suffix="_bucket")
    return one_of(name, label, series, "le", default)


def threshold(metric: Metric) -> str:
    """The strictest threshold that an objective sets for a metric."""
    return f'min({recorded.THRESHOLD}{{{recorded.METRIC_LABEL}="{metric.name}"}})'


# --- GPUs -------------------------------------------------------------------------------------


def gpu_variables(vocabulary: Vocabulary, metric: Metric) -> list[dict[str, Any]]:
    """Where the GPUs are, which vendor and which GPU; listed from ``metric``."""
    place = target_matchers(*PLACE, "instance")
    vendor, gpu = vocabulary.label(HW_VENDOR.name), vocabulary.label(HW_ID.name)
    all_gpus = _labels_of(metric, vocabulary, place)
    of_vendor = _labels_of(metric, vocabulary, f'{place}, {vendor}=~"$vendor"')
    return [
        *target_variables(),
        instance(),
        _from_labels("vendor", "Vendor", all_gpus, vendor),
        _from_labels("gpu", "GPU", of_vendor, gpu, every=".+"),
    ]


def gpu_scope(vocabulary: Vocabulary, *by: str) -> Scope:
    """The GPUs that the GPU variables choose."""
    vendor, gpu = vocabulary.label(HW_VENDOR.name), vocabulary.label(HW_ID.name)
    chosen = f'{vendor}=~"$vendor", {gpu}=~"$gpu"'
    return Scope(
        by=by,
        vocabulary=vocabulary,
        extra=f"{target_matchers(*PLACE, 'instance')}, {chosen}",
    )


# --- Recorded series --------------------------------------------------------------------------


def objective_variables(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Data source, job, service, objective and model, for the series that the rules record."""
    service, objective = recorded.SERVICE_LABEL, recorded.OBJECTIVE_LABEL
    of_service = f'{recorded.OBJECTIVE}{{{service}=~"$service"}}'
    of_objective = f'{recorded.PERIOD_TOTAL}{{{service}=~"$service", {objective}=~"$objective"}}'
    return [
        datasource(),
        _from_labels("service", "Service", recorded.OBJECTIVE, service),
        _from_labels("objective", "Objective", of_service, objective),
        _from_labels("model", "Model", of_objective, vocabulary.label(REQUEST_MODEL.name)),
    ]


def window() -> dict[str, Any]:
    """One of the windows over which the rules record rates; which there are is up to them."""
    series = f'{{__name__=~"{recorded.TOTAL}.+"}}'
    variable = one_of("window", "Window", series, "__name__", "5m")
    return variable | {"regex": f"/{recorded.TOTAL}(.+)/", "sort": 1}


def objective_matchers(vocabulary: Vocabulary, *, model: bool = True) -> str:
    """Matchers of recorded series; those of an objective itself carry no model."""
    parts = [
        f'{recorded.SERVICE_LABEL}=~"$service"',
        f'{recorded.OBJECTIVE_LABEL}=~"$objective"',
    ]
    if model:
        parts.append(f'{vocabulary.label(REQUEST_MODEL.name)}=~"$model"')
    return ", ".join(parts)
