"""The Prometheus operator's kinds, ``monitoring.coreos.com``: who is scraped, who is told."""

from typing import Annotated, Literal

from pydantic import Field

from firsttoken.manifests.custom import LabelSelector, Part, Resource

__all__ = [
    "AlertmanagerConfig",
    "AlertmanagerSpec",
    "InhibitRule",
    "Matcher",
    "NamespaceSelector",
    "PagerDuty",
    "PodMetricsEndpoint",
    "PodMonitor",
    "PodMonitorSpec",
    "PrometheusRule",
    "Receiver",
    "Relabeling",
    "Route",
    "SecretKeySelector",
    "Slack",
    "Subroute",
    "Webhook",
]


class Relabeling(Part):
    """One step from a discovered target's labels to the labels that it is scraped with."""

    action: Literal["keep", "replace"]
    source_labels: tuple[str, ...]
    regex: str | None = None
    target_label: str | None = None
    replacement: str | None = None


class PodMetricsEndpoint(Part):
    """A port of the pods by its name, or what relabelling makes of them."""

    port: str | None = None
    relabelings: tuple[Relabeling, ...] | None = None
    path: str
    scheme: Literal["http"] = "http"
    interval: str
    scrape_timeout: str
    honor_labels: bool


class NamespaceSelector(Part):
    """Where a monitor looks for pods."""

    match_names: tuple[str, ...]


class PodMonitorSpec(Part):
    """Which pods are scraped, how, and how much they may say."""

    selector: LabelSelector
    namespace_selector: NamespaceSelector
    pod_metrics_endpoints: tuple[PodMetricsEndpoint, ...]
    sample_limit: int
    label_limit: int
    label_value_length_limit: int
    body_size_limit: str


class PodMonitor(Resource):
    """Pods that Prometheus scrapes."""

    api_version: Literal["monitoring.coreos.com/v1"] = "monitoring.coreos.com/v1"
    kind: Literal["PodMonitor"] = "PodMonitor"
    spec: PodMonitorSpec


class _Rule(Part):
    expr: str
    record: str | None = None
    alert: str | None = None
    wait: str | None = Field(default=None, validation_alias="for", serialization_alias="for")
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Group(Part):
    name: str
    interval: str
    # As in Prometheus' own file, and unlike every other key of these kinds.
    query_offset: Annotated[
        str | None,
        Field(validation_alias="query_offset", serialization_alias="query_offset"),
    ] = None
    labels: dict[str, str] | None = None
    rules: tuple[_Rule, ...]


class _PrometheusRuleSpec(Part):
    groups: tuple[_Group, ...]


class PrometheusRule(Resource):
    """Recording rules and alerts; read from what the rules are written as."""

    api_version: Literal["monitoring.coreos.com/v1"] = "monitoring.coreos.com/v1"
    kind: Literal["PrometheusRule"] = "PrometheusRule"
    spec: _PrometheusRuleSpec


class SecretKeySelector(Part):
    """One key of a Secret in the object's namespace."""

    name: str
    key: str


class Matcher(Part):
    """What an alert's label must be."""

    name: str
    value: str
    match_type: Literal["=", "!=", "=~", "!~"]


class Slack(Part):
    """A channel; the webhook's address is a Secret's."""

    channel: str
    api_url: Annotated[
        SecretKeySelector, Field(validation_alias="apiURL", serialization_alias="apiURL")
    ]
    send_resolved: bool


class PagerDuty(Part):
    """A service of PagerDuty."""

    routing_key: SecretKeySelector
    send_resolved: bool


class Webhook(Part):
    """An address that is called."""

    url_secret: SecretKeySelector
    send_resolved: bool


class Receiver(Part):
    """Who is told; nobody, where it has no way to be."""

    name: str
    slack_configs: tuple[Slack, ...] | None = None
    pagerduty_configs: tuple[PagerDuty, ...] | None = None
    webhook_configs: tuple[Webhook, ...] | None = None


class Subroute(Part):
    """Some alerts' own receiver and pace; the definition leaves it open, and the operator reads
    it as a route.
    """

    receiver: str
    matchers: tuple[Matcher, ...]
    group_wait: str | None = None
    group_interval: str | None = None
    repeat_interval: str | None = None


class Route(Part):
    """Where alerts go that no subroute takes."""

    receiver: str
    group_by: tuple[str, ...]
    group_wait: str
    repeat_interval: str
    routes: tuple[Subroute, ...]


class InhibitRule(Part):
    """Which alerts are not told while others fire."""

    source_match: tuple[Matcher, ...]
    target_match: tuple[Matcher, ...]
    equal: tuple[str, ...]


class AlertmanagerSpec(Part):
    """Routes, receivers and inhibitions."""

    route: Route
    receivers: tuple[Receiver, ...]
    inhibit_rules: tuple[InhibitRule, ...]


class AlertmanagerConfig(Resource):
    """Who is told of the alerts of its namespace; v1alpha1 is what every operator serves."""

    api_version: Literal["monitoring.coreos.com/v1alpha1"] = "monitoring.coreos.com/v1alpha1"
    kind: Literal["AlertmanagerConfig"] = "AlertmanagerConfig"
    spec: AlertmanagerSpec
