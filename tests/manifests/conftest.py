"""A deployment file on disk, and schemas that know every field and no other."""

import functools
import gzip
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from firsttoken.cli import main
from firsttoken.manifests.bundle import Bundle, bundle, read

SCHEMAS = Path(__file__).parents[1] / "data" / "schemas"
COLLECTOR = {"image": "registry.example/firsttoken:0.1.0"}
BASE: dict[str, Any] = {
    "version": "firsttoken/v1",
    "name": "chat",
    "namespace": "ml",
    "model": "meta-llama/Meta-Llama-3-8B",
    "collector": COLLECTOR,
}

Write = Callable[..., Path]
Make = Callable[..., Bundle]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a deployment file with some keys changed; ``slo`` becomes its objective file."""

    def run(slo: dict[str, Any] | None = None, **changes: Any) -> Path:
        content = BASE | changes
        if slo is not None:
            (tmp_path / "slo.yaml").write_text(yaml.safe_dump(slo))
            content |= {"objectives": "slo.yaml"}
        file = tmp_path / "deployment.yaml"
        file.write_text(yaml.safe_dump(content))
        return file

    return run


@pytest.fixture
def make(write: Write) -> Make:
    """The objects of a deployment file with some keys changed."""

    def run(slo: dict[str, Any] | None = None, **changes: Any) -> Bundle:
        return bundle(*read(write(slo, **changes)))

    return run


def strict(schema: Any) -> Any:
    """A custom resource's schema in which an unknown field is an error."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
        made.pop("anyOf", None)
    open_ended = made.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and not open_ended:
        made.setdefault("additionalProperties", False)
    return made


@functools.cache
def validator(kind: str, api_version: str, release: str) -> jsonschema.Draft202012Validator:
    """The strict schema of a kind: a custom resource's, or that of a Kubernetes release."""
    group, _, version = api_version.rpartition("/")
    if "." in group and not group.endswith(".k8s.io"):
        schema = strict(read_schema(f"{kind.lower()}_{group}_{version}.json"))
        schema["properties"]["metadata"] = {"type": "object"}
        return jsonschema.Draft202012Validator(schema)
    schema = read_schema(f"kubernetes-{release}.json")
    wanted = {"group": group, "version": version, "kind": kind}
    for name, definition in schema["$defs"].items():
        if wanted in definition.get("x-kubernetes-group-version-kind", ()):
            schema["$ref"] = f"#/$defs/{name}"
            return jsonschema.Draft202012Validator(schema)
    raise AssertionError(f"no schema for {wanted}")


def read_schema(name: str) -> dict[str, Any]:
    """An extract, which is compressed where it is large."""
    file = SCHEMAS / name
    text = file.read_bytes() if file.exists() else gzip.decompress(
        (SCHEMAS / f"{name}.gz").read_bytes()
    )  # fmt: skip
    schema: dict[str, Any] = json.loads(text)
    return schema


@pytest.fixture(name="read_schema")
def _read_schema() -> Callable[[str], dict[str, Any]]:
    """Read an extract of ``tests/data/schemas`` by its name without ``.gz``."""
    return read_schema


@pytest.fixture
def check() -> Callable[[dict[str, Any], str], None]:
    """Hold an object against the strict schema of its kind; raises ValidationError."""

    def run(item: dict[str, Any], release: str) -> None:
        validator(item["kind"], item["apiVersion"], release).validate(item)

    return run


def _load_double() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "manifests_apiserver", Path(__file__).with_name("apiserver.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


double = _load_double()


@pytest.fixture
def server() -> Any:
    return double.ApiServer()


@pytest.fixture
def kubeconfig(server: Any, tmp_path: Path) -> Iterator[Path]:
    with double.serving(server) as address:
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(configuration(address)))
        yield file


def configuration(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }


@pytest.fixture
def on_cluster(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``firsttoken manifests`` on the double: exit code, stdout, stderr."""

    def call(command: str, *arguments: str | Path) -> tuple[int, str, str]:
        words = ["manifests", command, *map(str, arguments), "--kubeconfig", str(kubeconfig)]
        with pytest.raises(SystemExit) as left:
            main(words)
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, captured.out, captured.err

    return call
