"""``firsttoken manifests apply``, ``diff``, ``delete`` and ``wait``: a deployment in a cluster."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from firsttoken.arguments import Seconds
from firsttoken.errors import CheckFailedError, NotJudgedError, UsageError

if TYPE_CHECKING:
    from firsttoken.manifests.cluster import Cluster
    from firsttoken.manifests.rollout import Outcome

__all__ = ["apply", "delete", "diff", "doctor", "wait"]

WORKLOADS = ("Deployment", "InferenceService", "LLMInferenceService", "RayService")
KEPT = ("Namespace", "PersistentVolumeClaim")
"""What others may need, or what holds data."""
F = TypeVar("F", bound=Callable[..., Any])


def _on_a_cluster(function: F) -> F:
    """The arguments that all these commands share."""
    for decorate in (
        click.option("--context", help="Context of the kubeconfig."),
        click.option(
            "--kubeconfig", type=click.Path(dir_okay=False, path_type=Path),
            help="Default: $KUBECONFIG, ~/.kube/config, or the cluster that this pod runs in.",
        ),
        click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path)),
    ):  # fmt: skip
        function = decorate(function)
    return function


def _objects(file: Path) -> tuple[str, str, list[dict[str, Any]]]:
    """Name, namespace and objects of a deployment file."""
    from firsttoken.manifests.bundle import bundle, read

    spec, slo = read(file)
    return spec.name, spec.namespace, list(bundle(spec, slo).objects)


def _connect(kubeconfig: Path | None, context: str | None) -> "Cluster":
    from firsttoken.manifests.cluster import Cluster

    return Cluster.connect(kubeconfig, context)


def _report(outcomes: Iterable["Outcome"]) -> None:
    """A line for each object; raises CheckFailedError when one failed."""
    failed = count = 0
    for outcome in outcomes:
        count += 1
        failed += outcome.verdict == "failed"
        reason = f": {outcome.reason}" if outcome.reason else ""
        click.echo(f"{outcome.subject} {outcome.verdict}{reason}")
    if failed:
        raise CheckFailedError(f"{failed} of {count} objects failed")


@click.command(
    epilog="""\b
Examples:
  firsttoken manifests apply deployment.yaml --dry-run
  firsttoken manifests apply deployment.yaml --prune --wait
"""
)
@_on_a_cluster
@click.option("--dry-run", is_flag=True, help="Let the server check everything and keep nothing.")
@click.option("--force-conflicts", "force", is_flag=True,
              help="Take over fields that others set.")  # fmt: skip
@click.option("--prune", is_flag=True,
              help="Delete objects of this deployment that its file no longer has.")  # fmt: skip
@click.option("--wait", "waits", is_flag=True, help="Wait until the model is ready.")
@click.option("--timeout", type=Seconds(), default="30m", show_default=True)
def apply(
    file: Path, kubeconfig: Path | None, context: str | None, dry_run: bool, force: bool,
    prune: bool, waits: bool, timeout: float,
) -> None:  # fmt: skip
    """Apply the objects of the deployment in FILE, on the server's side."""
    from firsttoken.manifests import rollout

    name, namespace, items = _objects(file)
    cluster = _connect(kubeconfig, context)
    _report(rollout.apply(cluster, items, dry_run=dry_run, force=force))
    if prune and not dry_run:
        _report(rollout.delete(cluster, rollout.stale(cluster, items, name, namespace)))
    if waits and not dry_run:
        _wait(cluster, items, timeout)


@click.command(
    epilog="""\b
Examples:
  firsttoken manifests diff deployment.yaml

\b
Exit codes: 0 nothing would change, 1 something would.
"""
)
@_on_a_cluster
def diff(file: Path, kubeconfig: Path | None, context: str | None) -> None:
    """Show what applying FILE would change."""
    from firsttoken.manifests import rollout
    from firsttoken.manifests.cluster import RefusedError

    _, _, items = _objects(file)
    changed = 0
    try:
        for _, text in rollout.diff(_connect(kubeconfig, context), items):
            click.echo(text, nl=False)
            changed += 1
    except RefusedError as exc:
        raise CheckFailedError(str(exc)) from None
    if changed:
        raise CheckFailedError(f"{changed} of {len(items)} objects would change")


@click.command(
    epilog="""\b
Examples:
  firsttoken manifests delete deployment.yaml
"""
)
@_on_a_cluster
@click.option("--all", "everything", is_flag=True,
              help="Also volume claims, dashboards and the GPU exporter.")  # fmt: skip
def delete(file: Path, kubeconfig: Path | None, context: str | None, everything: bool) -> None:
    """Delete the objects of the deployment in FILE.

    Claims hold data, and dashboards and GPU exporter may belong to other deployments: they stay
    unless --all is given.
    """
    from firsttoken.manifests import rollout

    name, _, items = _objects(file)
    chosen = [
        item
        for item in reversed(items)
        if everything
        or (
            item["kind"] not in KEPT
            and item["metadata"]["labels"].get("firsttoken.dev/deployment") == name
        )
    ]
    _report(rollout.delete(_connect(kubeconfig, context), chosen))


@click.command(
    epilog="""\b
Examples:
  firsttoken manifests wait deployment.yaml --timeout 45m

\b
Exit codes: 0 ready, 1 not ready in time.
"""
)
@_on_a_cluster
@click.option("--timeout", type=Seconds(), default="30m", show_default=True)
def wait(file: Path, kubeconfig: Path | None, context: str | None, timeout: float) -> None:
    """Wait until the model of FILE is ready, and say where it stands."""
    _, _, items = _objects(file)
    _wait(_connect(kubeconfig, context), items, timeout)


@click.command(
    epilog="""\b
Examples:
  firsttoken doctor deployment.yaml --prometheus http://127.0.0.1:9090
  firsttoken doctor deployment.yaml --prometheus http://127.0.0.1:9090 --no-cluster

\b
Exit codes: 0 nothing wrong, 1 something is.
"""
)
@_on_a_cluster
@click.option("--prometheus", "url", help="URL of the Prometheus that should have the data.")
@click.option("--cluster/--no-cluster", "asks", default=True, help="Ask the cluster too.")
def doctor(
    file: Path, kubeconfig: Path | None, context: str | None, url: str | None, asks: bool
) -> None:
    """Say why there is no data of the deployment in FILE."""
    if url is None and not asks:
        raise UsageError("nobody to ask: give --prometheus, or leave out --no-cluster")
    from firsttoken.manifests import doctor as questions
    from firsttoken.manifests.bundle import bundle, read
    from firsttoken.manifests.cluster import RefusedError
    from firsttoken.prometheus import Prometheus

    spec, slo = read(file)
    found: list[questions.Symptom] = []
    try:
        if asks:
            cluster = _connect(kubeconfig, context)
            found += questions.ask_cluster(cluster, spec, bundle(spec, slo).objects)
        if url:
            found += questions.ask_prometheus(Prometheus(url), spec, slo)
    except RefusedError as exc:
        raise NotJudgedError(str(exc)) from None
    for symptom in found:
        click.echo(f"{symptom.found}\n  {symptom.remedy}")
    if found:
        raise CheckFailedError(f"{len(found)} thing{'s' * (len(found) != 1)} wrong")
    click.echo("nothing wrong")


def _wait(cluster: "Cluster", items: list[dict[str, Any]], timeout: float) -> None:
    from firsttoken.manifests import rollout
    from firsttoken.manifests.cluster import RefusedError

    workloads = [item for item in items if item["kind"] in WORKLOADS]
    try:
        done = rollout.wait(
            cluster, workloads, timeout=timeout, report=lambda text: click.echo(text, err=True)
        )
    except RefusedError as exc:
        raise CheckFailedError(str(exc)) from None
    if not done:
        raise CheckFailedError(f"not ready after {timeout:g} s")
