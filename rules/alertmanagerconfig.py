"""The routing as the Prometheus operator's AlertmanagerConfig, with secrets in a Secret.

The operator narrows such a routing to alerts whose label ``namespace`` is the object's own.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from firsttoken.errors import UsageError
from firsttoken.rules.alertmanager import Hours, Receivers, configuration, labels_of

__all__ = ["alertmanagerconfig"]

_MATCHER = re.compile(r'(?P<name>[a-zA-Z_]\w*)(?P<operator>=~|!~|!=|=)"(?P<value>.*)"')
_PLAIN = {"send_resolved": "sendResolved", "channel": "channel", "title": "title", "text": "text",
          "url": "url"}  # fmt: skip
_SECRET = {"api_url_file": "apiURL", "routing_key_file": "routingKey"}
_ROUTE = {
    "receiver": "receiver",
    "group_by": "groupBy",
    "group_wait": "groupWait",
    "group_interval": "groupInterval",
    "repeat_interval": "repeatInterval",
    "active_time_intervals": "activeTimeIntervals",
}


def alertmanagerconfig(
    receivers: Receivers,
    *,
    name: str,
    secret: str,
    namespace: str | None = None,
    labels: tuple[str, ...] = labels_of(),
    hours: Hours | None = None,
) -> dict[str, Any]:
    """The monitoring.coreos.com/v1alpha1 object.

    A file of the receivers stands for the key of its base name in the Secret ``secret``.  Raises
    UsageError as ``configuration`` does, and for hours of a zone, which the object cannot say.
    """
    if hours and hours.zone != "UTC":
        raise UsageError(f"an AlertmanagerConfig has times in UTC only, not in {hours.zone}")
    shape = configuration(receivers, labels, hours)
    spec: dict[str, Any] = {
        "route": _route(shape["route"]),
        "inhibitRules": [
            {
                "sourceMatch": [_matcher(text) for text in rule["source_matchers"]],
                "targetMatch": [_matcher(text) for text in rule["target_matchers"]],
                "equal": rule["equal"],
            }
            for rule in shape["inhibit_rules"]
        ],
        "receivers": [_receiver(one, secret) for one in shape["receivers"]],
    }
    if hours:
        spec["muteTimeIntervals"] = [_interval(one) for one in shape["time_intervals"]]
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": metadata,
        "spec": spec,
    }


def _route(route: Mapping[str, Any]) -> dict[str, Any]:
    found = {_ROUTE[key]: value for key, value in route.items() if key in _ROUTE}
    if "matchers" in route:
        found["matchers"] = [_matcher(text) for text in route["matchers"]]
    if "routes" in route:
        found["routes"] = [_route(child) for child in route["routes"]]
    return found


def _matcher(text: str) -> dict[str, str]:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f"not a matcher: {text}")
    return {"name": found["name"], "value": found["value"], "matchType": found["operator"]}


def _receiver(receiver: Mapping[str, Any], secret: str) -> dict[str, Any]:
    kinds = {"slack_configs": "slackConfigs", "pagerduty_configs": "pagerdutyConfigs",
             "webhook_configs": "webhookConfigs"}  # fmt: skip
    found: dict[str, Any] = {"name": receiver["name"]}
    for kind, spelled in kinds.items():
        if kind in receiver:
            found[spelled] = [_told(one, secret) for one in receiver[kind]]
    return found


def _told(config: Mapping[str, Any], secret: str) -> dict[str, Any]:
    found = {_PLAIN[key]: value for key, value in config.items() if key in _PLAIN}
    for key, spelled in _SECRET.items():
        if key in config:
            found[spelled] = _key(config[key], secret)
    if "http_config" in config:
        file = config["http_config"]["authorization"]["credentials_file"]
        found["httpConfig"] = {"authorization": {"credentials": _key(file, secret)}}
    return found


def _key(file: str, secret: str) -> dict[str, str]:
    return {"name": secret, "key": PurePosixPath(file).name}


def _interval(interval: Mapping[str, Any]) -> dict[str, Any]:
    times = [
        {
            "times": [
                {"startTime": time["start_time"], "endTime": time["end_time"]}
                for time in one["times"]
            ],
            "weekdays": one["weekdays"],
        }
        for one in interval["time_intervals"]
    ]
    return {"name": interval["name"], "timeIntervals": times}
