"""Alertmanager configuration for the generated alerts: who is told, and what is kept back.

Secrets are only named by the file that holds them.
"""

from dataclasses import dataclass
from typing import Any

from firsttoken.catalogue import REQUEST_MODEL
from firsttoken.rules.generate import ALERT
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["Receivers", "configuration"]

_PLACE = ("cluster", "namespace")


@dataclass(frozen=True, slots=True)
class Receivers:
    """Files with the PagerDuty routing key for pages and Slack webhook addresses for the rest.

    Without ``pagerduty_key_file`` pages go to Slack too; ``channel`` is Slack's.
    """

    slack_url_file: str
    channel: str
    pagerduty_key_file: str | None = None


def configuration(receivers: Receivers, vocabulary: Vocabulary = SEMCONV) -> dict[str, Any]:
    """A whole configuration for Alertmanager 0.25 and later."""
    model = vocabulary.label(REQUEST_MODEL.name)
    return {
        "route": {
            "receiver": "ticket",
            "group_by": ["alertname", *_PLACE, "service", "slo", model],
            "group_wait": "5m",
            "group_interval": "30m",
            "repeat_interval": "3d",
            "routes": [
                {
                    "receiver": "page",
                    "matchers": ['severity="critical"'],
                    "group_wait": "10s",
                    "group_interval": "5m",
                    "repeat_interval": "4h",
                }
            ],
        },
        "inhibit_rules": _inhibitions(model),
        "receivers": [
            {"name": "page", **_page(receivers)},
            {"name": "ticket", **_slack(receivers)},
        ],
    }


def _inhibit(source: list[str], target: list[str], equal: list[str]) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target, "equal": [*_PLACE, *equal]}


def _inhibitions(model: str) -> list[dict[str, Any]]:
    burning = f'alertname="{ALERT}"'
    same = ["service", "slo", model]
    return [
        _inhibit([burning, 'severity="critical"'], [burning, 'severity="warning"'], same),
        _inhibit([burning, 'burn="page_fast"'], [burning, 'burn="page_slow"'], same),
        _inhibit([burning, 'burn="ticket_fast"'], [burning, 'burn="ticket_slow"'], same),
        # What is down explains the burn of the same model, and of all models of its service.
        _inhibit(['alertname=~"LLMEngineStalled|LLMModelAbsent"'], [burning], ["service", model]),
        _inhibit(
            ['alertname="LLMServiceAbsent"'],
            [f'alertname=~"{ALERT}|LLMModelAbsent"'],
            ["service"],
        ),
    ]


def _page(receivers: Receivers) -> dict[str, Any]:
    if receivers.pagerduty_key_file is None:
        return _slack(receivers)
    return {"pagerduty_configs": [{"routing_key_file": receivers.pagerduty_key_file}]}


def _slack(receivers: Receivers) -> dict[str, Any]:
    return {
        "slack_configs": [
            {
                "api_url_file": receivers.slack_url_file,
                "channel": receivers.channel,
                "send_resolved": True,
                "title": "{{ .CommonAnnotations.summary }}",
                "text": "{{ range .Alerts }}{{ .Annotations.description }}\n{{ end }}",
            }
        ]
    }
