"""A deployment file on disk, and schemas that know every field and no other."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

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


def check_custom(item: dict[str, Any]) -> None:
    """Hold a custom resource against its strict schema; raises ValidationError."""
    group, version = item["apiVersion"].split("/")
    file = SCHEMAS / f"{item['kind'].lower()}_{group}_{version}.json"
    schema = json.loads(file.read_text())
    body = {key: value for key, value in item.items() if key != "metadata"}
    schema["properties"].pop("metadata")
    if "metadata" in schema.get("required", ()):
        schema["required"].remove("metadata")
    jsonschema.Draft202012Validator(strict(schema)).validate(body)


def check_native(item: dict[str, Any], release: str) -> None:
    """Hold an object against a Kubernetes release's strict schema; raises ValidationError."""
    schema = json.loads((SCHEMAS / f"kubernetes-{release}.json").read_text())
    group, _, version = item["apiVersion"].rpartition("/")
    wanted = {"group": group, "version": version, "kind": item["kind"]}
    for name, definition in schema["$defs"].items():
        if wanted in definition.get("x-kubernetes-group-version-kind", ()):
            schema["$ref"] = f"#/$defs/{name}"
    assert "$ref" in schema, f"no schema for {wanted}"
    jsonschema.Draft202012Validator(schema).validate(item)


def is_custom(item: dict[str, Any]) -> bool:
    group = item["apiVersion"].rpartition("/")[0]
    return "." in group and not re.search(r"(^|[.])k8s[.]io$", group)


@pytest.fixture
def check() -> Callable[[dict[str, Any], str], None]:
    """Hold an object against the strict schema of its kind."""

    def run(item: dict[str, Any], release: str) -> None:
        if is_custom(item):
            check_custom(item)
        else:
            check_native(item, release)

    return run
