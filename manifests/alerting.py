"""AlertmanagerConfig: who is told of this deployment's alerts."""

from typing import Any

from firsttoken.manifests.monitoring import found_by_prometheus
from firsttoken.manifests.settings import SecretKey
from firsttoken.manifests.spec import DeploymentSpec
from firsttoken.naming import label_name
from firsttoken.rules.packs import WATCHDOG

__all__ = ["alertmanager_config"]


def alertmanager_config(spec: DeploymentSpec) -> dict[str, Any] | None:
    """The v1alpha1 object, the version that every operator serves; None without ``alerting``.

    The operator lets it see only alerts whose ``namespace`` is its own, which the rules' labels
    therefore carry.  A page of an objective and model keeps back the tickets about the same.
    """
    given = spec.alerting
    if given is None:
        return None
    slack = {"channel": given.slack_channel, "apiURL": _key(given.slack), "sendResolved": True}
    ticket: dict[str, Any] = {"name": "ticket", "slackConfigs": [slack]}
    page: dict[str, Any] = {"name": "page", "slackConfigs": [slack]}
    if given.pagerduty:
        key = {"routingKey": _key(given.pagerduty), "sendResolved": True}
        page = {"name": "page", "pagerdutyConfigs": [key]}
    watcher: dict[str, Any] = {"name": "deadman"}
    if given.deadman:
        hook = {"urlSecret": _key(given.deadman), "sendResolved": False}
        watcher["webhookConfigs"] = [hook]
    same = ["service", "slo", label_name("gen_ai.request.model")]
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": found_by_prometheus(spec),
        "spec": {
            "route": {
                "receiver": "ticket",
                "groupBy": same,
                "groupWait": "5m",
                "repeatInterval": "3d",
                "routes": [
                    # First, so that nobody else hears it; without an address nobody does.
                    {
                        "receiver": "deadman",
                        "matchers": [_is("alertname", WATCHDOG)],
                        "groupWait": "1s",
                        "groupInterval": "1m",
                        "repeatInterval": "1m",
                    },
                    {
                        "receiver": "page",
                        "matchers": [_is("severity", "critical")],
                        "groupWait": "10s",
                        "repeatInterval": "4h",
                    },
                    # What only explains another alert is for dashboards.
                    {"receiver": "nobody", "matchers": [_is("severity", "info")]},
                ],
            },
            "receivers": [page, ticket, watcher, {"name": "nobody"}],
            "inhibitRules": [
                {
                    "sourceMatch": [_is("severity", "critical")],
                    "targetMatch": [_is("severity", "warning")],
                    "equal": same,
                }
            ],
        },
    }


def _key(secret: SecretKey) -> dict[str, str]:
    return {"name": secret.name, "key": secret.key}


def _is(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value, "matchType": "="}
