"""``firsttoken manifests``: a deployment file to Kubernetes objects."""

from pathlib import Path

import click

from firsttoken.errors import UsageError

__all__ = ["manifests"]

FORMATS = ("stream", "kustomize")


@click.group()
def manifests() -> None:
    """Kubernetes objects: the engine, the collector beside it, rules and dashboards."""


@manifests.command(
    epilog="""\b
Examples:
  firsttoken manifests generate deployment.yaml | kubectl apply --server-side -f -
  firsttoken manifests generate deployment.yaml --format kustomize --out base
  kubectl apply --server-side -k base
"""
)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write into this folder."
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="stream", show_default=True,
    help="One YAML stream; or a folder for each concern with kustomization.yaml, into --out.",
)  # fmt: skip
def generate(file: Path, out: Path | None, form: str) -> None:
    """Write the objects of the deployment in FILE, to stdout without --out."""
    if form == "kustomize" and out is None:
        raise UsageError("--format kustomize writes several files and needs --out")
    # The Kubernetes client is large, and other commands start without it.
    from firsttoken.manifests.bundle import bundle, read
    from firsttoken.manifests.render import folder, to_yaml

    spec, slo = read(file)
    made = bundle(spec, slo)
    if out is None:
        click.echo(to_yaml(made.objects), nl=False)
        return
    files = (
        folder(made.concerns)
        if form == "kustomize"
        else {f"{spec.name}.yaml": to_yaml(made.objects)}
    )
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    click.echo(f"wrote {len(made.objects)} objects in {len(files)} files to {out}", err=True)
