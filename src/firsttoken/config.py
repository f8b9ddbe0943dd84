"""YAML files into frozen pydantic models; a mistake names file, line, key and what is allowed."""

import difflib
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from firsttoken.errors import ConfigError

__all__ = [
    "Duration",
    "Model",
    "format_duration",
    "load_yaml",
    "parse_duration",
    "public_address",
    "validate_model",
]

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"([0-9]+(?:[.][0-9]+)?)(ms|[smhdw])")


def parse_duration(value: object) -> float:
    """Seconds of a duration: a number of seconds, or Prometheus' form such as ``90s`` or ``1h30m``.

    Raises ValueError for anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        parts = _PART.findall(value)
        if parts and "".join(number + unit for number, unit in parts) == value:
            return float(sum(Decimal(number) * UNITS[unit] for number, unit in parts) / 1000)
    raise ValueError("expected a duration such as 250ms, 30s, 5m, 1h30m or a number of seconds")


def format_duration(seconds: float) -> str:
    """The shortest form that Prometheus reads back as the same duration, to the millisecond."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def public_address(url: str) -> str:
    """An address as it may be shown: user and password before an @ are left out."""
    scheme, slashes, rest = url.partition("//")
    host, slash, path = rest.partition("/")
    _, at, place = host.rpartition("@")
    return f"{scheme}//***@{place}{slash}{path}" if slashes and at else url


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
"""A pydantic field of seconds that is written as ``30s`` or ``1h30m``."""


class Model(BaseModel):
    """Base of everything read from a file: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


M = TypeVar("M", bound=BaseModel)


def load_yaml(path: Path, model: type[M]) -> M:
    """The file as a ``model``; raises ConfigError with one sentence for each mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        raise ConfigError(path, [f"cannot be read: {reason}"]) from None
    try:
        root, data = _loaded(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(exc, "problem", None) or "not YAML"
        raise ConfigError(path, [f"{where}not valid YAML: {problem}"]) from None
    return validate_model(data, model, path, root)


def _loaded(text: str) -> tuple[yaml.Node | None, object]:
    """The document as nodes, which know their lines, and as data; raises YAMLError."""
    try:
        return _read(yaml.CSafeLoader(text))
    except (AttributeError, yaml.YAMLError):
        # PyYAML without libyaml, and ten times slower; or a mistake, which it words better.
        return _read(yaml.SafeLoader(text))


def _read(loader: yaml.SafeLoader | yaml.CSafeLoader) -> tuple[yaml.Node | None, object]:
    try:
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def validate_model(
    data: object, model: type[M], path: Path | str, root: yaml.Node | None = None
) -> M:
    """``data`` as a ``model``; ``root`` gives line numbers.  Raises ConfigError."""
    if not isinstance(data, dict):
        raise ConfigError(path, ["expected a mapping of keys to values at the top"])
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        problems = [_sentence(dict(error), model, root) for error in exc.errors(include_url=False)]
        raise ConfigError(path, problems) from None


def _sentence(error: dict[str, Any], model: type[BaseModel], root: yaml.Node | None) -> str:
    location = tuple(error["loc"])
    line = _line(root, location)
    where = f"line {line}: " if line else ""
    key = ".".join(str(part) for part in location) or "file"
    if error["type"] == "extra_forbidden":
        allowed = _allowed_keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        listed = f" (allowed: {', '.join(allowed)})" if allowed else ""
        return f"{where}{key}: unknown key{hint}{listed}"
    if error["type"] == "missing":
        return f"{where}{key}: required, but missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    shown = f", not {given!r}" if isinstance(given, str | int | float | bool | None) else ""
    message = message[:1].lower() + message[1:]
    return f"{where}{key}: {message}{'' if 'ecret' in key or 'token' in key else shown}"


def _allowed_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed at a place, as the model's JSON schema has them."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    nodes = [schema]
    for part in location:
        nodes = [child for node in nodes for child in _step(node, part, definitions)]
    keys: dict[str, None] = {}
    for node in _resolve_all(nodes, definitions):
        keys.update(dict.fromkeys(node.get("properties", {})))
    return list(keys)


def _resolve_all(nodes: list[dict[str, Any]], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    queue = list(nodes)
    while queue:
        node = queue.pop(0)
        if "$ref" in node:
            queue.append(definitions[node["$ref"].rsplit("/", 1)[-1]])
        for choice in ("anyOf", "oneOf", "allOf"):
            queue.extend(node.get(choice, []))
        out.append(node)
    return out


def _step(
    node: dict[str, Any], part: int | str, definitions: dict[str, Any]
) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for choice in _resolve_all([node], definitions):
        if isinstance(part, int) and isinstance(choice.get("items"), dict):
            out.append(choice["items"])
        elif part in choice.get("properties", {}):
            out.append(choice["properties"][part])
        elif isinstance(choice.get("additionalProperties"), dict):
            out.append(choice["additionalProperties"])
        elif part in choice.get("discriminator", {}).get("mapping", {}):
            # Tagged unions put the tag into the location of an error.
            reference = choice["discriminator"]["mapping"][part]
            out.append(definitions[reference.rsplit("/", 1)[-1]])
    return out


def _line(root: yaml.Node | None, location: tuple[int | str, ...]) -> int | None:
    """The line of the deepest node on the way to ``location`` that the file has."""
    node = root
    line = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    node, line = value, key.start_mark.line + 1
                    break
        elif isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
    return line
