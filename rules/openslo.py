"""OpenSLO v1 documents as an objective file, for what it can express: ratios of two counters.

Source of the format: the OpenSLO specification, apiVersion ``openslo/v1``.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from firsttoken.errors import ConfigError
from firsttoken.promql import le_matcher

__all__ = ["convert"]

_SELECTOR = re.compile(r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(?P<where>[^{}]*)\})?\s*")
_LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_IGNORED = {"Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"}


class _Source(BaseModel):
    spec: Mapping[str, Any] = Field(default_factory=dict)


class _Metric(BaseModel):
    metricSource: _Source  # noqa: N815 (the format's spelling)


class _Ratio(BaseModel):
    total: _Metric
    good: _Metric | None = None
    bad: _Metric | None = None


class _Indicator(BaseModel):
    ratioMetric: _Ratio  # noqa: N815


class _Window(BaseModel):
    duration: str
    isRolling: bool = True  # noqa: N815


class _Target(BaseModel):
    target: Decimal | None = None
    targetPercent: Decimal | None = None  # noqa: N815


class _Slo(BaseModel):
    service: str
    indicator: Mapping[str, Any] | None = None
    indicatorRef: str | None = None  # noqa: N815
    timeWindow: tuple[_Window, ...] = Field(min_length=1, max_length=1)  # noqa: N815
    budgetingMethod: str = "Occurrences"  # noqa: N815
    objectives: tuple[_Target, ...] = Field(min_length=1, max_length=1)


def convert(documents: Sequence[object], where: str) -> dict[str, Any]:
    """The documents of one service and one period as the data of an objective file.

    ``where`` names them in errors.  Raises ConfigError with a sentence for all that an objective
    file cannot express.
    """
    slos: list[tuple[str, Mapping[str, Any]]] = []
    indicators: dict[str, Mapping[str, Any]] = {}
    for document in documents:
        if not isinstance(document, dict) or document.get("apiVersion") != "openslo/v1":
            raise ConfigError(where, ["not a document of apiVersion openslo/v1"])
        name = str(document.get("metadata", {}).get("name", ""))
        if document.get("kind") == "SLO":
            slos.append((name, document.get("spec") or {}))
        elif document.get("kind") == "SLI":
            indicators[name] = document.get("spec") or {}
        elif document.get("kind") not in _IGNORED:
            raise ConfigError(where, [f"{name}: kind {document.get('kind')} is not known"])
    if not slos:
        raise ConfigError(where, ["holds no document of kind SLO"])
    read = [(name, _read(name, spec, where)) for name, spec in slos]
    for key in ("service", "timeWindow"):
        if len({str(getattr(slo, key)) for _, slo in read}) > 1:
            raise ConfigError(where, [f"its SLOs differ in {key}; convert them file by file"])
    first = read[0][1]
    return {
        "version": "firsttoken/v1",
        "service": first.service,
        "period": first.timeWindow[0].duration,
        "objectives": [_objective(name, slo, indicators, where) for name, slo in read],
    }


def _read(name: str, spec: Mapping[str, Any], where: str) -> _Slo:
    try:
        slo = _Slo.model_validate(spec)
    except ValidationError as exc:
        raise ConfigError(where, [f"{name}: {_first(exc)}"]) from None
    if not slo.timeWindow[0].isRolling:
        raise ConfigError(where, [f"{name}: a calendar window; budgets here are rolling"])
    if slo.budgetingMethod != "Occurrences":
        raise ConfigError(where, [f"{name}: budgetingMethod must be Occurrences"])
    return slo


def _first(exc: ValidationError) -> str:
    error = exc.errors()[0]
    return f"{'.'.join(map(str, error['loc']))}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _objective(
    name: str, slo: _Slo, indicators: Mapping[str, Mapping[str, Any]], where: str
) -> dict[str, Any]:
    given = (slo.indicator or {}).get("spec") or indicators.get(slo.indicatorRef or "")
    if given is None:
        raise ConfigError(where, [f"{name}: has no indicator, and {slo.indicatorRef} is not here"])
    try:
        ratio = _Indicator.model_validate(given).ratioMetric
    except ValidationError as exc:
        raise ConfigError(
            where, [f"{name}: only a ratioMetric of counters can be taken: {_first(exc)}"]
        ) from None
    target = slo.objectives[0]
    percent = target.targetPercent
    if percent is None:
        percent = (target.target or Decimal(0)) * 100
    found: dict[str, Any] = {"name": name, "kind": "ratio", "target": f"{percent.normalize():f}"}
    for key in ("total", "good", "bad"):
        metric = getattr(ratio, key)
        if metric is not None:
            found[key] = _counted(f"{name}: {key}", metric, where)
    return found


def _counted(what: str, metric: _Metric, where: str) -> dict[str, Any]:
    query = str(metric.metricSource.spec.get("query", ""))
    found = _SELECTOR.fullmatch(query)
    labels = found["where"] or "" if found else ""
    if found is None or _LABEL.sub("", labels).strip():
        raise ConfigError(
            where, [f'{what}: expected the selector of a counter, name{{label="value"}}: {query}']
        )
    own = {}
    for label, operator, value in _LABEL.findall(labels):
        own[label] = value if operator == "=" else f"{operator}{value}"
        if label == "le" and operator == "=":
            own[label] = _bound(value)
    return {"metric": found["name"], "where": own} if own else {"metric": found["name"]}


def _bound(value: str) -> str:
    """A bucket's bound in every spelling, as a matcher's operator and value."""
    if not re.fullmatch(r"[0-9]+([.][0-9]+)?", value):
        return value
    text = le_matcher(Decimal(value)).removeprefix("le")
    operator, _, quoted = text.partition('"')
    return ("" if operator == "=" else operator) + quoted.removesuffix('"')
