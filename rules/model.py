"""Rules and groups as values, and how a rule is put together from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from firsttoken import places
from firsttoken.catalogue import REQUEST_MODEL
from firsttoken.promql import Matcher, Scope
from firsttoken.rules.bounds import Version
from firsttoken.rules.slo import SloFile
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["DEFAULTS", "AlertRule", "Context", "Group", "Options", "RecordingRule", "number"]


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """One recorded series."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alert; ``wait`` is how long it must hold, in seconds."""

    alert: str
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other every ``interval`` seconds."""

    name: str
    rules: tuple[RecordingRule | AlertRule, ...]
    interval: int


@dataclass(frozen=True, slots=True)
class Options:
    """What depends on the Prometheus and not on the objectives; times are seconds.

    ``fewest_bad``: fewer bad events than this in the long window alert nobody.
    ``runbooks``: the address of the folder of runbooks, for the alerts' ``runbook_url``.
    ``grafana``: the address of a Grafana with the dashboards, for their ``dashboard_url``.
    ``target`` is the version of Prometheus, and ``offset`` how late samples may come.
    """

    scrape: int = 30
    fewest_bad: int = 3
    runbooks: str = ""
    grafana: str = ""
    target: Version = (2, 42)
    offset: int = 0


DEFAULTS = Options()


@dataclass(frozen=True, slots=True)
class Context:
    """What all rules of a file share."""

    slo: SloFile
    vocabulary: Vocabulary = SEMCONV
    options: Options = DEFAULTS

    @property
    def period(self) -> int:
        """The period in whole seconds."""
        return int(self.slo.period)

    @property
    def model(self) -> str:
        """The label that holds the model."""
        return self.vocabulary.label(REQUEST_MODEL.name)

    @property
    def scope(self) -> Scope:
        """The service's series, kept apart by model."""
        where = tuple(Matcher(name, value) for name, value in sorted(self.slo.selector.items()))
        return Scope(where, (REQUEST_MODEL.name, *self.slo.group_by), self.vocabulary)

    def alert(
        self,
        name: str,
        expr: str,
        summary: str,
        description: str,
        *,
        severity: str,
        wait: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> AlertRule:
        """An alert with the labels and annotations that every alert of the service has."""
        annotations = {"summary": summary, "description": description}
        address = (self.options.runbooks or self.slo.runbooks).rstrip("/")
        if address:
            annotations["runbook_url"] = f"{address}/{places.runbook(name)}"
        grafana = self.options.grafana or self.slo.grafana
        panel = places.address(grafana, name, self.vocabulary)
        if grafana and panel:
            annotations["dashboard_url"] = panel
        all_labels = {
            **self.slo.labels, "service": self.slo.service, "severity": severity, **(labels or {})
        }  # fmt: skip
        return AlertRule(name, expr, all_labels, annotations, wait)


def number(value: Decimal) -> str:
    """An exact decimal as PromQL text, without exponent and trailing zeros."""
    return format(value.normalize(), "f")
