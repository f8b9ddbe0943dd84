"""``firsttoken alertmanager``: routing for the generated alerts."""

from pathlib import Path

import click

from firsttoken.rules import output
from firsttoken.rules.alertmanager import Hours, Receivers, configuration, labels_of
from firsttoken.rules.alertmanagerconfig import alertmanagerconfig
from firsttoken.rules.slo import load
from firsttoken.sources import vocabulary_of

__all__ = ["alertmanager"]


@click.group(
    epilog="""\b
Examples:
  firsttoken alertmanager generate --slack-url-file /etc/am/slack --channel '#llm'
"""
)
def alertmanager() -> None:
    """Routing for the generated alerts."""


@alertmanager.command(
    epilog="""\b
Examples:
  firsttoken alertmanager generate --slack-url-file /etc/am/slack --channel '#llm'
  firsttoken alertmanager generate --slack-url-file /etc/am/slack --channel '#llm' \\
    --pagerduty-key-file /etc/am/pagerduty --deadman-webhook https://deadman.example/llm \\
    --ticket-hours 'monday:friday 08:00-18:00 Europe/Berlin' > alertmanager.yaml
  firsttoken alertmanager generate slo.yaml --page-webhook http://h/p --ticket-webhook http://h/t
"""
)
@click.argument(
    "files", metavar="[FILE]...", nargs=-1,
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
)  # fmt: skip
@click.option("--slack-url-file", help="File that holds Slack's webhook address.")
@click.option("--channel", help="Slack channel.")
@click.option("--pagerduty-key-file", help="File that holds PagerDuty's routing key, for pages.")
@click.option("--page-webhook", metavar="URL", help="Webhook that is told of pages.")
@click.option("--ticket-webhook", metavar="URL", help="Webhook that is told of tickets.")
@click.option(
    "--deadman-webhook", "deadman", metavar="URL",
    help="Webhook that is told every minute that alerts get through (pack watchdog).",
)  # fmt: skip
@click.option("--webhook-token-file", help="File with the bearer token for the webhooks.")
@click.option(
    "--ticket-hours", metavar="'DAYS START-END ZONE'",
    help="When tickets are sent; those that wait are sent when the hours begin.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(("file", "alertmanagerconfig")), default="file",
    show_default=True, help="A whole configuration, or the Prometheus operator's object.",
)  # fmt: skip
@click.option("--namespace", help="Namespace of the AlertmanagerConfig.")
@click.option(
    "--secret", default="firsttoken-alerts", show_default=True,
    help="Of an AlertmanagerConfig: the Secret whose keys are the files' base names.",
)  # fmt: skip
def generate(
    files: tuple[Path, ...],
    slack_url_file: str | None, channel: str | None, pagerduty_key_file: str | None,
    page_webhook: str | None, ticket_webhook: str | None, deadman: str | None,
    webhook_token_file: str | None, ticket_hours: str | None,
    form: str, namespace: str | None, secret: str,
) -> None:  # fmt: skip
    """Write a configuration to stdout; secrets stay in their files.

    FILEs are the objective files whose alerts are routed; they say which labels keep alerts apart.
    Without any, those are the labels of alerts behind the collector.
    """
    receivers = Receivers(
        slack_url_file, channel, pagerduty_key_file, page_webhook, ticket_webhook, deadman,
        webhook_token_file,
    )  # fmt: skip
    hours = Hours.parse(ticket_hours) if ticket_hours else None
    labels = _labels(files)
    shape = (
        configuration(receivers, labels, hours)
        if form == "file"
        else alertmanagerconfig(
            receivers, name="firsttoken", secret=secret, namespace=namespace, labels=labels,
            hours=hours,
        )
    )  # fmt: skip
    click.echo(output.to_yaml(shape), nl=False)


def _labels(files: tuple[Path, ...]) -> tuple[str, ...]:
    """What keeps alerts of these objective files apart."""
    read = [load(file) for file in files]
    found = [labels_of(vocabulary_of(slo.source), *slo.group_by) for slo in read] or [labels_of()]
    return tuple(dict.fromkeys(label for labels in found for label in labels))
