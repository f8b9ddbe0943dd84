"""AlertmanagerConfig: who is told of this deployment's alerts."""

from firsttoken.manifests.custom_prometheus import (
    AlertmanagerConfig,
    AlertmanagerSpec,
    InhibitRule,
    Matcher,
    PagerDuty,
    Receiver,
    Route,
    SecretKeySelector,
    Slack,
    Subroute,
    Webhook,
)
from firsttoken.manifests.monitoring import found_by_prometheus
from firsttoken.manifests.settings import SecretKey
from firsttoken.manifests.spec import DeploymentSpec
from firsttoken.naming import label_name
from firsttoken.rules.packs import WATCHDOG

__all__ = ["alertmanager_config"]


def alertmanager_config(spec: DeploymentSpec) -> AlertmanagerConfig | None:
    """The v1alpha1 object, the version that every operator serves; None without ``alerting``.

    The operator lets it see only alerts whose ``namespace`` is its own, which the rules' labels
    therefore carry.  A page of an objective and model keeps back the tickets about the same.
    """
    given = spec.alerting
    if given is None:
        return None
    slack = Slack(channel=given.slack_channel, api_url=_key(given.slack), send_resolved=True)
    page = Receiver(name="page", slack_configs=(slack,))
    if given.pagerduty:
        duty = PagerDuty(routing_key=_key(given.pagerduty), send_resolved=True)
        page = Receiver(name="page", pagerduty_configs=(duty,))
    watcher = Receiver(name="deadman")
    if given.deadman:
        hook = Webhook(url_secret=_key(given.deadman), send_resolved=False)
        watcher = Receiver(name="deadman", webhook_configs=(hook,))
    ticket = Receiver(name="ticket", slack_configs=(slack,))
    same = ("service", "slo", label_name("gen_ai.request.model"))
    inhibited = InhibitRule(
        source_match=(_is("severity", "critical"),),
        target_match=(_is("severity", "warning"),),
        equal=same,
    )
    return AlertmanagerConfig(
        metadata=found_by_prometheus(spec),
        spec=AlertmanagerSpec(
            route=_route(same),
            receivers=(page, ticket, watcher, Receiver(name="nobody")),
            inhibit_rules=(inhibited,),
        ),
    )


def _route(same: tuple[str, ...]) -> Route:
    return Route(
        receiver="ticket",
        group_by=same,
        group_wait="5m",
        repeat_interval="3d",
        routes=(
            # First, so that nobody else hears it; without an address nobody does.
            Subroute(
                receiver="deadman",
                matchers=(_is("alertname", WATCHDOG),),
                group_wait="1s",
                group_interval="1m",
                repeat_interval="1m",
            ),
            Subroute(
                receiver="page",
                matchers=(_is("severity", "critical"),),
                group_wait="10s",
                repeat_interval="4h",
            ),
            # What only explains another alert is for dashboards.
            Subroute(receiver="nobody", matchers=(_is("severity", "info"),)),
        ),
    )


def _key(secret: SecretKey) -> SecretKeySelector:
    return SecretKeySelector(name=secret.name, key=secret.key)


def _is(name: str, value: str) -> Matcher:
    return Matcher(name=name, value=value, match_type="=")
