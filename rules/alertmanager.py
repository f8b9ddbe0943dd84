"""Alertmanager configuration for the generated alerts: who is told, and what is kept back.

Secrets are only named by the file that holds them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from firsttoken.catalogue import REQUEST_MODEL
from firsttoken.errors import UsageError
from firsttoken.rules.generate import ALERT
from firsttoken.rules.packs import WATCHDOG
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["Hours", "Receivers", "configuration", "inhibitions", "labels_of"]

PLACE = ("cluster", "namespace")
HOURS_NAME = "ticket-hours"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = "|".join(_DAYS)
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00"
_HOURS = re.compile(
    rf"(?P<days>(?:{_DAY})(?::(?:{_DAY}))?) (?P<start>{_CLOCK})-(?P<end>{_CLOCK})"
    r"(?: (?P<zone>[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)*))?"
)


@dataclass(frozen=True, slots=True)
class Hours:
    """When tickets are sent: ``days`` such as ``monday:friday``, times of a zone's clock."""

    days: str
    start: str
    end: str
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """Read ``monday:friday 08:00-18:00 Europe/Berlin``; raises UsageError."""
        found = _HOURS.fullmatch(text.strip())
        if found and found["zone"] and found["zone"] not in available_timezones():
            raise UsageError(f"hours {text!r}: no time zone is called {found['zone']}")
        if found is None or found["start"] >= found["end"]:
            raise UsageError(
                f"hours {text!r}: expected days, times and a zone such as"
                " 'monday:friday 08:00-18:00 Europe/Berlin'"
            )
        return cls(found["days"], found["start"], found["end"], found["zone"] or "UTC")

    def holds(self, at: float) -> bool:
        """Whether a moment, in unix seconds, is within them."""
        local = datetime.fromtimestamp(at, ZoneInfo(self.zone))
        first, _, last = self.days.partition(":")
        day = (local.weekday() - _DAYS.index(first)) % 7
        in_days = day <= (_DAYS.index(last or first) - _DAYS.index(first)) % 7
        return in_days and self.start <= local.strftime("%H:%M") < self.end

    def interval(self) -> dict[str, Any]:
        """One of Alertmanager's time intervals."""
        times = [{"start_time": self.start, "end_time": self.end}]
        return {"times": times, "weekdays": [self.days], "location": self.zone}


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who is told.  Pages go to PagerDuty and the page webhook, tickets to the ticket webhook and
    Slack; where pages have no receiver of their own they go to Slack.

    Fields that end in ``_file`` name files with secrets, others hold addresses without any.
    ``deadman`` is told once a minute that alerts still get through, and must notice when it is
    not told any more.
    """

    slack_url_file: str | None = None
    channel: str | None = None
    pagerduty_key_file: str | None = None
    page_webhook: str | None = None
    ticket_webhook: str | None = None
    deadman: str | None = None
    webhook_token_file: str | None = None

    def check(self) -> None:
        """Raises UsageError where somebody who must be told cannot be."""
        if (self.slack_url_file is None) != (self.channel is None):
            raise UsageError("Slack needs both its address file and a channel")
        if self.slack_url_file is None and self.ticket_webhook is None:
            raise UsageError("tickets have no receiver: give Slack or a webhook for tickets")
        if self.slack_url_file is None and not (self.pagerduty_key_file or self.page_webhook):
            raise UsageError("pages have no receiver: give PagerDuty, a webhook for pages or Slack")
        for address in (self.page_webhook, self.ticket_webhook, self.deadman):
            if address is not None:
                _check_address(address)


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError("a webhook's address must be http://host/path or https://host/path")
    if parts.username or parts.password:
        raise UsageError(
            f"the address of the webhook on {parts.hostname} holds a secret; put it into a file"
            " for --webhook-token-file"
        )


def labels_of(vocabulary: Vocabulary = SEMCONV, *group_by: str) -> tuple[str, ...]:
    """The labels that tell models and what an objective file groups by apart on alerts."""
    return tuple(dict.fromkeys((vocabulary.label(REQUEST_MODEL.name), *group_by)))


def configuration(
    receivers: Receivers, labels: tuple[str, ...] = labels_of(), hours: Hours | None = None
) -> dict[str, Any]:
    """A whole configuration for Alertmanager 0.25 and later; ``labels`` as of ``labels_of``.

    Raises UsageError where somebody who must be told cannot be.
    """
    receivers.check()
    ticket: dict[str, Any] = {"receiver": "ticket", "matchers": ['severity="warning"']}
    if hours:
        ticket["active_time_intervals"] = [HOURS_NAME]
    routes = [_page_route(), ticket, {"receiver": "nobody", "matchers": ['severity=~"info|none"']}]
    told = [
        {"name": "page", **_page(receivers)},
        {"name": "ticket", **_ticket(receivers)},
    ]
    # First, so that nothing else takes it; without a receiver it goes nowhere.
    routes.insert(0, _watchdog_route("deadman" if receivers.deadman else "nobody"))
    if receivers.deadman:
        hook = _webhook(receivers, receivers.deadman, resolved=False)
        told.append({"name": "deadman", "webhook_configs": [hook]})
    told.append({"name": "nobody"})
    shape: dict[str, Any] = {
        "route": {
            "receiver": "ticket",
            "group_by": list(dict.fromkeys(["alertname", *PLACE, "service", "slo", *labels])),
            "group_wait": "5m",
            "group_interval": "30m",
            "repeat_interval": "3d",
            "routes": routes,
        },
        "inhibit_rules": inhibitions(labels),
        "receivers": told,
    }
    if hours:
        shape["time_intervals"] = [{"name": HOURS_NAME, "time_intervals": [hours.interval()]}]
    return shape


def _watchdog_route(receiver: str) -> dict[str, Any]:
    return {
        "receiver": receiver,
        "matchers": [f'alertname=~"Watchdog|{WATCHDOG}"'],
        "group_wait": "0s",
        "group_interval": "1m",
        "repeat_interval": "1m",
    }


def _page_route() -> dict[str, Any]:
    return {
        "receiver": "page",
        "matchers": ['severity="critical"'],
        "group_wait": "10s",
        "group_interval": "5m",
        "repeat_interval": "4h",
    }


def _inhibit(source: list[str], target: list[str], equal: Iterable[str]) -> dict[str, Any]:
    same = list(dict.fromkeys([*PLACE, *equal]))
    return {"source_matchers": source, "target_matchers": target, "equal": same}


def inhibitions(labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """What is kept back while something else, which says it better, fires."""
    burning = f'alertname="{ALERT}"'
    same = ["service", "slo", *labels]
    return [
        _inhibit([burning, 'severity="critical"'], [burning, 'severity="warning"'], same),
        _inhibit([burning, 'burn="page_fast"'], [burning, 'burn="page_slow"'], same),
        _inhibit([burning, 'burn="ticket_fast"'], [burning, 'burn="ticket_slow"'], same),
        # An engine that holds requests and does nothing also lets its queue grow.
        _inhibit(
            ['alertname=~"LLMEngineStalled|LLMModelAbsent"'],
            ['alertname=~"LLMKVCacheFull|LLMPreemptions|LLMQueueLong"'],
            ["service", *labels],
        ),
        # What is down explains the burn of the same model, and of all models of its service.
        _inhibit(['alertname=~"LLMEngineStalled|LLMModelAbsent"'], [burning], ["service", *labels]),
        _inhibit(
            ['alertname="LLMServiceAbsent"'],
            [f'alertname=~"{ALERT}|LLMModelAbsent"'],
            ["service"],
        ),
    ]


def _page(receivers: Receivers) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if receivers.pagerduty_key_file:
        told["pagerduty_configs"] = [{"routing_key_file": receivers.pagerduty_key_file}]
    if receivers.page_webhook:
        told["webhook_configs"] = [_webhook(receivers, receivers.page_webhook)]
    return told or _slack(receivers)


def _ticket(receivers: Receivers) -> dict[str, Any]:
    told = _slack(receivers) if receivers.slack_url_file else {}
    if receivers.ticket_webhook:
        told["webhook_configs"] = [_webhook(receivers, receivers.ticket_webhook)]
    return told


def _webhook(receivers: Receivers, address: str, *, resolved: bool = True) -> dict[str, Any]:
    hook: dict[str, Any] = {"url": address, "send_resolved": resolved}
    if receivers.webhook_token_file:
        credentials = {"credentials_file": receivers.webhook_token_file}
        hook["http_config"] = {"authorization": credentials}
    return hook


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
