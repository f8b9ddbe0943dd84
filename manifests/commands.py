"""``firsttoken manifests``: a deployment file to Kubernetes objects."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from firsttoken.errors import CheckFailedError, UsageError
from firsttoken.manifests.cluster_commands import apply, delete, diff, doctor, wait

if TYPE_CHECKING:
    from firsttoken.manifests.schemas import Schemas

__all__ = ["manifests"]

FORMATS = ("stream", "kustomize")
OUTPUTS = ("text", "json", "junit")


@click.group(
    epilog="""\b
Examples:
  firsttoken manifests generate deployment.yaml
"""
)
def manifests() -> None:
    """Kubernetes objects: the engine, the collector beside it, rules and dashboards."""


@manifests.command(
    epilog="""\b
Examples:
  firsttoken manifests generate deployment.yaml | kubectl apply --server-side -f -
  firsttoken manifests generate deployment.yaml --format kustomize --out k8s
  kubectl apply --server-side -k k8s/overlays/prod
  firsttoken manifests generate deployment.yaml --load-test | kubectl create -f -
"""
)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write into this folder."
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="stream", show_default=True,
    help="One YAML stream; or a base with overlays for kustomize, into --out.",
)  # fmt: skip
@click.option("--load-test", is_flag=True,
              help="Write the load test alone; it starts when it is applied.")  # fmt: skip
def generate(file: Path, out: Path | None, form: str, load_test: bool) -> None:
    """Write the objects of the deployment in FILE, to stdout without --out."""
    if form == "kustomize" and out is None:
        raise UsageError("--format kustomize writes several files and needs --out")
    # The Kubernetes client is large, and other commands start without it.
    from firsttoken.manifests.budget import budget
    from firsttoken.manifests.bundle import bundle, read
    from firsttoken.manifests.render import folder, to_yaml

    spec, slo = read(file)
    made = bundle(spec, slo)
    objects = made.load_test if load_test else made.objects
    if load_test and not objects:
        raise UsageError(f"{file}: has no load_test")
    if out is None:
        click.echo(to_yaml(objects), nl=False)
        return
    if form == "kustomize":
        files = folder(made.concerns)
        objects = tuple(item for items in made.concerns.values() for item in items)
    else:
        files = {f"{spec.name}.yaml": to_yaml(objects)}
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    click.echo(f"wrote {len(objects)} objects in {len(files)} files to {out}", err=True)
    click.echo(f"{spec.name} costs Prometheus {budget(spec)}", err=True)


@manifests.command(
    epilog="""\b
Examples:
  firsttoken manifests check out --crds crds
  firsttoken manifests generate deployment.yaml | firsttoken manifests check - --crds crds
  firsttoken manifests check out --cluster --context staging
  firsttoken manifests check chart.yaml --skip labels --format junit > junit.xml
"""
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...",
                type=click.Path(exists=True, allow_dash=True, path_type=Path))  # fmt: skip
@click.option(
    "--crds", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the definitions of custom resources.",
)  # fmt: skip
@click.option("--cluster", is_flag=True,
              help="Take the definitions of custom resources from the cluster.")  # fmt: skip
@click.option("--context", help="Context of the kubeconfig, for --cluster.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path),
              help="Default: $KUBECONFIG or ~/.kube/config.")  # fmt: skip
@click.option("--kubernetes", "releases", multiple=True, metavar="VERSION",
              help="Hold objects against this release; can be given several times.")  # fmt: skip
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave a check out.")
@click.option("--format", "form", type=click.Choice(OUTPUTS), default="text", show_default=True)
@click.option("--list", "listed", is_flag=True, is_eager=True, expose_value=False,
              callback=lambda ctx, _param, value: _list_checks(ctx) if value else None,
              help="Say what each check looks for, and end.")  # fmt: skip
def check(
    files: tuple[Path, ...], crds: Path | None, cluster: bool, context: str | None,
    kubeconfig: Path | None, releases: tuple[str, ...], skip: tuple[str, ...], form: str,
) -> None:  # fmt: skip
    """Hold manifests, of any origin, against what a careful operator asks for."""
    from firsttoken.manifests import checks, findings
    from firsttoken.manifests.documents import read as read_items
    from firsttoken.manifests.schemas import Schemas, check_releases

    for name in skip:
        if name not in checks.CHECKS:
            raise UsageError(f"--skip {name}: no such check; there are {', '.join(checks.CHECKS)}")
    check_releases(releases or checks.RELEASES)
    items = read_items(files)
    if not items:
        raise UsageError("no objects to check")
    if cluster and crds:
        raise UsageError("--crds and --cluster: give one of them")
    schemas = _of_cluster(kubeconfig, context) if cluster else Schemas.read(crds)
    found = checks.run(items, schemas, releases=releases or checks.RELEASES, skip=frozenset(skip))
    if form == "json":
        click.echo(findings.to_json(found, len(items)), nl=False)
    elif form == "junit":
        click.echo(findings.to_junit(found, [n for n in checks.CHECKS if n not in skip]), nl=False)
    else:
        click.echo(findings.to_text(found, len(items)), nl=False)
    if found:
        raise CheckFailedError(f"{len(found)} finding{'s' * (len(found) != 1)}")


def _of_cluster(kubeconfig: Path | None, context: str | None) -> "Schemas":
    from firsttoken.manifests.cluster import Cluster, RefusedError
    from firsttoken.manifests.schemas import Schemas

    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    try:
        return Schemas.of(
            Cluster.connect(kubeconfig, context).list(kind | {"metadata": {}}, "", "")
        )
    except RefusedError as exc:
        raise UsageError(f"--cluster: {exc}") from None


def _list_checks(ctx: click.Context) -> None:
    from firsttoken.manifests.checks import CHECKS

    for name, function in CHECKS.items():
        click.echo(f"{name:14} {function.__doc__}")
    ctx.exit()


for command in (apply, delete, diff, doctor, wait):
    manifests.add_command(command)
