"""Our models of custom resources against the kinds' own definitions."""

import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from kubernetes import client as k8s
from pydantic import ValidationError

from firsttoken.dashboards import render as dashboards
from firsttoken.manifests.bundle import Bundle
from firsttoken.manifests.custom import Part, Resource
from firsttoken.manifests.custom_grafana import GrafanaDashboard
from firsttoken.manifests.custom_keda import ScaledObject
from firsttoken.manifests.custom_kserve import (
    InferenceService,
    LLMInferenceService,
    ServingRuntime,
)
from firsttoken.manifests.custom_prometheus import AlertmanagerConfig, PodMonitor, PrometheusRule
from firsttoken.manifests.custom_ray import RayService
from firsttoken.manifests.render import plain
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.output import prometheusrule
from firsttoken.rules.slo import load as load_objectives

ROOT = Path(__file__).parents[2]
KINDS: tuple[type[Resource], ...] = (
    AlertmanagerConfig,
    GrafanaDashboard,
    InferenceService,
    LLMInferenceService,
    PodMonitor,
    PrometheusRule,
    RayService,
    ScaledObject,
    ServingRuntime,
)
SCALARS = {str: {"string"}, int: {"integer", "number"}, float: {"number"}, bool: {"boolean"}}

Schema = dict[str, Any]
Make = Callable[..., Bundle]
ReadSchema = Callable[[str], Schema]


def definition(kind: type[Resource], read: ReadSchema) -> Schema:
    group, version = str(kind.model_fields["api_version"].default).split("/")
    return read(f"{kind.__name__.lower()}_{group}_{version}.json")


def bare(annotation: Any) -> Any:
    """A field's type without what is said about it and without None."""
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        (annotation, *others) = (
            get_args(annotation)[:1]
            if get_origin(annotation) is Annotated
            else [each for each in get_args(annotation) if each is not type(None)]
        )
        assert not others, f"{annotation} or {others}"
    return annotation


def differences(model: type[Part], schema: Schema, place: str) -> Iterator[str]:
    """What a definition does not have as the model has it, place by place."""
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return
    known, any_key = schema.get("properties", {}), schema.get("additionalProperties")
    aliases = {field.serialization_alias: field for field in model.model_fields.values()}
    for name, field in aliases.items():
        where = f"{place}.{name}"
        if "properties" not in schema and any_key:
            yield from unlike(bare(field.annotation), any_key, where)
        elif name not in known:
            yield f"{where}: there is no such field"
        elif where.count(".") > 1 or name != "metadata":
            yield from unlike(bare(field.annotation), known[name], where)
    for name in schema.get("required", ()):
        # What has a default may be left out; a model's own default is always there.
        ours = aliases.get(name)
        given = ours is not None and (ours.is_required() or ours.default is not None)
        if not given and "default" not in known[name]:
            yield f"{place}.{name}: required, but not in the model"


def unlike(wanted: Any, schema: Schema, place: str) -> Iterator[str]:
    """How a field's type differs from its definition."""
    origin = get_origin(wanted)
    if schema.get("x-kubernetes-preserve-unknown-fields") and "type" not in schema:
        return
    if "enum" in schema and origin is not Literal:
        yield f"{place}: any text, the definition knows {schema['enum']}"
    elif origin is not None:
        yield from unlike_generic(origin, get_args(wanted), schema, place)
    elif wanted in SCALARS:
        if not SCALARS[wanted] & types_of(schema):
            yield f"{place}: {wanted.__name__}, the definition has {types_of(schema)}"
    elif issubclass(wanted, Part):
        yield from differences(wanted, schema, place)
    else:
        yield from embedded(wanted, schema, place)


def types_of(schema: Schema) -> set[str]:
    found = {str(each.get("type")) for each in (schema, *schema.get("anyOf", ()))} - {"None"}
    return found | ({"integer", "string"} if schema.get("x-kubernetes-int-or-string") else set())


def unlike_generic(
    origin: Any, inner: tuple[Any, ...], schema: Schema, place: str
) -> Iterator[str]:
    has = types_of(schema)
    if origin is Literal:
        allowed, pattern = schema.get("enum", inner), schema.get("pattern", "")
        wrong = [value for value in inner if value not in allowed or not re.search(pattern, value)]
        yield from (f"{place}: {value} is not allowed" for value in wrong)
    elif origin in (list, tuple) and has == {"array"}:
        yield from unlike(bare(inner[0]), schema["items"], f"{place}[]")
    elif origin is dict and has == {"object"} and "properties" not in schema:
        if "additionalProperties" in schema:
            yield from unlike(bare(inner[1]), schema["additionalProperties"], f"{place}.*")
    else:
        yield f"{place}: {origin.__name__}, the definition has {has}"


def embedded(wanted: Any, schema: Schema, place: str) -> Iterator[str]:
    """A kind of Kubernetes' own: definitions copy it, now and then of another release."""
    assert wanted.__module__.startswith("kubernetes."), wanted
    fields = set(wanted.attribute_map.values())
    if schema.get("type") != "object":
        yield f"{place}: an object, the definition has {schema.get('type')}"
    elif len(fields & set(schema.get("properties", ()))) * 2 < len(fields):
        yield f"{place}: the definition's fields are not those of {wanted.__name__}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_model_is_what_the_definition_has(kind: type[Resource], read_schema: ReadSchema) -> None:
    assert list(differences(kind, definition(kind, read_schema), kind.__name__)) == []


def test_every_kind_that_is_made_has_a_model(make: Make) -> None:
    everything: dict[str, Any] = {
        "autoscaling": {"prometheus": "http://prometheus:9090", "most": 4},
        "alerting": {"slack_channel": "#llm", "slack": {"name": "slack", "key": "url"}},
    }
    made = [
        make(
            platform=platform,
            monitoring={"dashboards": "grafana-operator"},
            **(everything if platform == "kserve-standard" else {}),
        )
        for platform in ("kserve-standard", "llm-inference-service", "ray-service")
    ]
    custom = {
        item["kind"]
        for bundle in made
        for item in bundle.objects
        if "." in item["apiVersion"].partition("/")[0]
        and not item["apiVersion"].partition("/")[0].endswith(".k8s.io")
    }

    assert custom | {"PrometheusRule"} == {kind.__name__ for kind in KINDS}


class Widget(Part):
    """Wrong in each way in which a model can be."""

    name: int
    colour: str
    size: tuple[str, ...]
    missing: str | None = None
    shape: Literal["round", "square"]
    labels: dict[str, int]
    needed: str | None = None
    pod: k8s.V1PodSpec


WIDGET: Schema = {
    "required": ["name", "needed", "other"],
    "properties": {
        "name": {"type": "string"},
        "colour": {"type": "string", "enum": ["red"]},
        "size": {"type": "string"},
        "shape": {"type": "string", "enum": ["round"]},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "needed": {"type": "string"},
        "other": {"type": "string"},
        "pod": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}


def test_the_comparison_sees_each_difference() -> None:
    assert list(differences(Widget, WIDGET, "w")) == [
        "w.name: int, the definition has {'string'}",
        "w.colour: any text, the definition knows ['red']",
        "w.size: tuple, the definition has {'string'}",
        "w.missing: there is no such field",
        "w.shape: square is not allowed",
        "w.labels.*: int, the definition has {'string'}",
        "w.pod: the definition's fields are not those of V1PodSpec",
        "w.needed: required, but not in the model",
        "w.other: required, but not in the model",
    ]


def test_a_model_takes_what_rules_and_dashboards_write_and_loses_nothing() -> None:
    groups = rule_groups(load_objectives(ROOT / "examples" / "slo.yaml"))
    rules = prometheusrule(groups, name="slo", namespace="ml", labels={"release": "a"})
    (board, *_) = dashboards.dashboards().values()
    shown = dashboards.grafana_dashboard(board, namespace="monitoring")

    assert plain(PrometheusRule.model_validate(rules)) == rules
    assert plain(GrafanaDashboard.model_validate(shown)) == shown


def test_a_field_that_a_kind_does_not_have_is_refused() -> None:
    (board, *_) = dashboards.dashboards().values()
    shown = dashboards.grafana_dashboard(board)
    shown["spec"]["fodler"] = "LLM"

    with pytest.raises(ValidationError, match="fodler"):
        GrafanaDashboard.model_validate(shown)
