"""Manifests as files: every object with the place where it stands."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from firsttoken.errors import ConfigError

__all__ = ["Item", "PlainLoader", "items_of", "read"]

SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATION = "kustomize.config.k8s.io"


@dataclass(frozen=True, slots=True)
class Item:
    """One object and its place, such as ``out/chat.yaml:12``."""

    place: str
    content: dict[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.content.get("kind", ""))

    @property
    def api_version(self) -> str:
        """Group and version."""
        return str(self.content.get("apiVersion", ""))

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, labels and the rest."""
        found = self.content.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def spec(self) -> dict[str, Any]:
        """The object's ``spec``, empty where it has none."""
        found = self.content.get("spec")
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        """The namespace, ``default`` where none is given."""
        return str(self.metadata.get("namespace", "default"))

    @property
    def title(self) -> str:
        """How the object is called in messages."""
        return f"{self.kind}/{self.name}"


class PlainLoader(yaml.SafeLoader):
    """Leaves times and a lone = as text, as Kubernetes does."""


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":value"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Loader(PlainLoader):
    """Refuses a key that is given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key} is given twice", key_node.start_mark
            )
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(paths: Iterable[Path]) -> list[Item]:
    """All objects of files and folders; ``-`` is stdin.  Raises ConfigError."""
    return [item for path in paths for file in _files(path) for item in _objects(file)]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
        if not found:
            raise ConfigError(path, [f"holds no {', '.join(SUFFIXES)}"])
        return found
    return [path]


def _objects(path: Path) -> Iterator[Item]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        raise ConfigError(path, [f"cannot be read: {reason}"]) from None
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            place = f"{path}:{node.start_mark.line + 1}"
            yield from items_of(loader.construct_document(node), place)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(exc, "problem", None) or "not YAML"
        raise ConfigError(path, [f"{where}{problem}"]) from None
    finally:
        loader.dispose()


def items_of(document: object, place: str) -> Iterator[Item]:
    """The objects of a document: itself, or those of a List; a kustomization is none."""
    if document is None:
        return
    if not isinstance(document, dict):
        raise ConfigError(place, ["expected an object with apiVersion and kind"])
    if document.get("kind") == "List" and isinstance(document.get("items"), list):
        for entry in document["items"]:
            yield from items_of(entry, place)
    elif not str(document.get("apiVersion", "")).startswith(KUSTOMIZATION):
        yield Item(place, document)
