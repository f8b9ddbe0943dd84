"""Values of attributes that OpenTelemetry enumerates: its own words, where it has one that fits.

The enumerations are read from OpenTelemetry's own package.  Custom values are allowed beside them,
so each of ours is named here with the reason; anything else fails, on a metric as on a span.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating import attributes as conventions

from firsttoken import attributes
from firsttoken.catalogue import METRICS, Attribute
from firsttoken.traces.conventions import CLIENT, SERVER

TESTS = Path(__file__).parent
PAGES = sorted((TESTS / "golden" / "profiles").glob("*.txt"))

CUSTOM: Mapping[str, frozenset[str]] = {
    # The conventions list vendors of hosted models, none of the servers that one runs oneself.
    "gen_ai.provider.name": frozenset(
        {
            *("vllm", "sglang", "tgi", "triton", "llama_cpp", "tensorrt_llm", "nim", "lmdeploy"),
        }
    ),
    # AMD reports the lowest clock, and the conventions know limits above alone.
    "hw.limit_type": frozenset({"min"}),
    # Intel's engines that are neither encoder nor decoder, and less than all of the GPU.
    "hw.gpu.task": frozenset({"compute"}),
}
OPEN = frozenset({"error.type", "http.request.method"})
"""A source's own words and a request's: only the word for the rest is the enumeration's."""


def enumerated() -> dict[str, frozenset[str]]:
    """Attribute -> the values that the conventions know, of all their modules."""
    found = {}
    for module in pkgutil.iter_modules(conventions.__path__):
        names = vars(importlib.import_module(f"{conventions.__name__}.{module.name}"))
        for constant, attribute in names.items():
            values = names.get("".join(map(str.capitalize, constant.split("_"))) + "Values")
            if constant.isupper() and isinstance(attribute, str) and values is not None:
                found[attribute] = frozenset(member.value for member in values)
    return found


def declared() -> dict[str, frozenset[str]]:
    """Attribute -> the values that the catalogue and the spans' declarations list."""
    every = [attribute for metric in METRICS for attribute in metric.attributes]
    every += [entry.attribute for entry in (*CLIENT.attributes, *SERVER.attributes)]
    found: dict[str, frozenset[str]] = {}
    for attribute in every:
        found[attribute.name] = found.get(attribute.name, frozenset()) | set(attribute.values)
    return found


KNOWN, DECLARED = enumerated(), declared()
LABELS = {Attribute(name).label: name for name, values in DECLARED.items() if values}


def test_the_enumerations_are_there() -> None:
    """Or everything below would hold of nothing."""
    assert {
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.token.type", "hw.type"),
        *("hw.state", "hw.limit_type", "hw.gpu.task", "network.io.direction", "error.type"),
    } <= KNOWN.keys()


@pytest.mark.parametrize("name", sorted(KNOWN.keys() & DECLARED.keys() - OPEN))
def test_what_an_attribute_may_say_is_known_or_said_to_be_ours(name: str) -> None:
    assert DECLARED[name], "its values are not declared"
    assert DECLARED[name] - KNOWN[name] == CUSTOM.get(name, frozenset())


def test_no_value_of_ours_is_kept_without_need() -> None:
    assert all(DECLARED[name] >= values for name, values in CUSTOM.items())


def said(file: Path) -> Iterator[tuple[str, str]]:
    """Each enumerated attribute with its value, of the series that a page becomes."""
    for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', file.read_text()):
        if label in LABELS:
            yield LABELS[label], value


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_every_series_of_every_source_says_a_declared_value(file: Path) -> None:
    assert {(name, value) for name, value in said(file) if value not in DECLARED[name]} == set()


def test_the_pages_say_nearly_all_that_is_declared() -> None:
    """What no page says, no test above has seen."""
    seen = {name for file in PAGES for name, _ in said(file)}

    assert KNOWN.keys() & {name for name, values in DECLARED.items() if values} <= seen


def test_the_word_for_the_rest_is_the_conventions() -> None:
    """``_OTHER``, and no source's own spelling of it."""
    errors = {
        value for file in PAGES for value in re.findall(r'error_type="([^"]*)"', file.read_text())
    }

    assert {value for value in errors if "other" in value.lower()} == KNOWN["error.type"]
    assert attributes.ERROR_TYPE.values == ()
