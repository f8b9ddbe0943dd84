"""Strict schemas: a field that a kind does not have is an error, and so is a kind without schema.

Kubernetes' own kinds come from kubernetes-validate, custom resources from definitions on disk,
with their validation rules in the Common Expression Language.
"""

import functools
import gzip
import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from firsttoken.errors import ConfigError, NotJudgedError, UsageError
from firsttoken.manifests.documents import Item, PlainLoader

__all__ = ["Schemas", "check_releases", "native_problems"]

Schema = dict[str, Any]


class Schemas:
    """Custom resources' schemas by group, version and kind, strict and ready to use."""

    def __init__(self, schemas: Mapping[tuple[str, str], Schema]) -> None:
        self._schemas = schemas

    @classmethod
    def read(cls, folder: Path | None) -> "Schemas":
        """All definitions below a folder; raises ConfigError.

        A file is a CustomResourceDefinition in YAML or JSON, or the schema of one version as
        JSON in a file called ``kind_group_version.json``; either may be gzipped.
        """
        found: dict[tuple[str, str], Schema] = {}
        for file in sorted(folder.rglob("*")) if folder else ():
            if {".yaml", ".yml", ".json"} & set(file.suffixes):
                found.update(_definitions(file))
        if folder and not found:
            raise ConfigError(folder, ["holds no definition of a custom resource"])
        return cls(found)

    @classmethod
    def of(cls, definitions: Iterable[Mapping[str, Any]]) -> "Schemas":
        """Those of CustomResourceDefinitions as a cluster has them."""
        return cls({key: made for each in definitions for key, made in _versions(each)})

    def problems(self, item: Item) -> list[str] | None:
        """What is wrong with a custom resource; None when there is no schema for it."""
        schema = self._schemas.get((item.api_version, item.kind))
        if schema is None:
            schema = self._schemas.get((item.api_version, item.kind.lower()))
        if schema is None:
            return None
        content = _with_defaults(item.content, schema)
        return [*_schema_problems(content, schema), *_rule_problems(content, schema, "")]


def _definitions(file: Path) -> Iterator[tuple[tuple[str, str], Schema]]:
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        documents = (
            [json.loads(data)]  # many times faster than as YAML
            if ".json" in file.suffixes
            else list(yaml.load_all(data, Loader=PlainLoader))
        )
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise ConfigError(file, [f"cannot be read: {exc}".splitlines()[0]]) from None
    for document in documents:
        if not isinstance(document, dict):
            continue
        if document.get("kind") == "CustomResourceDefinition":
            yield from _versions(document)
        elif "properties" in document and file.name.count("_") >= 2:
            kind, group, version = file.name.partition(".json")[0].split("_", 2)
            yield (f"{group}/{version}", kind), _strict(document, root=True)


def _versions(definition: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Schema]]:
    spec = definition["spec"]
    for version in spec["versions"]:
        key = f"{spec['group']}/{version['name']}", str(spec["names"]["kind"])
        yield key, _strict(version["schema"]["openAPIV3Schema"], root=True)


_EVERYWHERE: Schema = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}


def _strict(schema: Any, *, root: bool = False) -> Any:
    """The schema with unknown fields forbidden wherever they would be dropped in silence."""
    if isinstance(schema, list):
        return [_strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    made: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: _strict(child) for name, child in value.items()}
        elif key not in ("default", "enum", "example"):
            made[key] = _strict(value)
        else:
            made[key] = value
    if root:
        made["properties"] |= _EVERYWHERE
    if made.get("x-kubernetes-int-or-string"):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    if "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if made.get("x-kubernetes-embedded-resource"):
        made.pop("additionalProperties", None)
    return made


def _with_defaults(value: Any, schema: Schema) -> Any:
    """The value as the API server completes it: defaults filled in, nulls dropped."""
    if isinstance(value, dict):
        found = {key: child for key, child in value.items() if child is not None}
        properties = schema.get("properties", {})
        for name, child in properties.items():
            if name not in found and "default" in child:
                found[name] = child["default"]
        extra = schema.get("additionalProperties")
        for name in found:
            child = properties.get(name, extra if isinstance(extra, dict) else {})
            found[name] = _with_defaults(found[name], child)
        return found
    if isinstance(value, list):
        return [_with_defaults(entry, schema.get("items", {})) for entry in value]
    return value


def _schema_problems(content: Any, schema: Schema) -> list[str]:
    errors = _library("jsonschema").Draft202012Validator(schema).iter_errors(content)
    return [_sentence(list(error.absolute_path), error.message) for error in errors]


def _sentence(path: list[Any], message: str) -> str:
    place = ".".join(map(str, path))
    short = message if len(message) < 300 else f"{message[:300]}..."
    return f"{place}: {short}" if place else short


def _rule_problems(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """Validation rules that the value breaks; rules about a change of it are not judged."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            yield f"{path}: {rule.get('message') or rule['rule']}".removeprefix(": ")
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for name, entry in value.items():
            child = schema.get("properties", {}).get(name, extra)
            if isinstance(child, dict):
                yield from _rule_problems(entry, child, f"{path}.{name}".removeprefix("."))
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, entry in enumerate(value):
            yield from _rule_problems(entry, schema["items"], f"{path}.{index}")


@functools.cache
def _program(rule: str) -> Any:
    environment = _library("celpy").Environment()
    return environment.program(environment.compile(rule))


def _holds(rule: str, value: Any) -> bool:
    celpy = _library("celpy")
    try:
        subject = _library("celpy.adapter").json_to_cel(value)
        return bool(_program(rule).evaluate({"self": subject}))
    except (celpy.CELParseError, celpy.CELEvalError):
        return True  # a rule of Kubernetes' own dialect, which this evaluator does not know


def native_problems(item: Item, release: str) -> list[str] | None:
    """What is wrong with one of Kubernetes' own objects; None when the release lacks the kind.

    ``check_releases`` tells whether there are schemas of the release.
    """
    validator = _native(item.api_version, item.kind, release)
    if validator is None:
        return None
    errors = validator.iter_errors(_without_nulls(item.content))
    return [_sentence(list(error.absolute_path), error.message) for error in errors]


@functools.cache
def _native(api_version: str, kind: str, release: str) -> Any:
    """The strict validator of a kind.  kubernetes-validate's own function reads files each time."""
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    try:
        schema = _native_schema(f"{kind.lower()}-{group}", release)
    except FileNotFoundError:
        return None
    referencing = _library("referencing")
    definitions = referencing.Resource.from_contents(_native_schema("_definitions", release))
    registry = definitions @ (referencing.Resource.from_contents(schema) @ referencing.Registry())
    return _library("jsonschema").Draft202012Validator(schema, registry=registry)


@functools.cache
def _native_schema(name: str, release: str) -> Any:
    utils = _library("kubernetes_validate.utils")
    (version,) = {text for text in utils.all_versions() if text.startswith(f"{release}.")}
    return utils.schema_contents(f"kubernetes-json-schema/v{version}-local-strict/{name}.json", "")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value


def _library(name: str) -> Any:
    """A library of the ``kubernetes`` extra; raises NotJudgedError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise NotJudgedError(
            f"{name} is not installed: pip install 'firsttoken[kubernetes]'"
        ) from None


def check_releases(releases: Iterable[str]) -> None:
    """Refuse releases that kubernetes-validate has no schemas of; raises UsageError."""
    versions = _library("kubernetes_validate.utils").all_versions()
    known = list(dict.fromkeys(text.rpartition(".")[0] for text in versions))
    for release in releases:
        if release not in known:
            raise UsageError(f"Kubernetes {release}: no schemas; there are {', '.join(known)}")
