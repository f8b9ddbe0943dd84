"""Configuration files: what is accepted, and what a mistake says."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from firsttoken.config import (
    Duration,
    Model,
    format_duration,
    load_yaml,
    parse_duration,
    public_address,
)
from firsttoken.errors import ConfigError


class Square(Model):
    kind: Literal["square"]
    side: float = Field(gt=0)


class Circle(Model):
    kind: Literal["circle"]
    radius: float


class Drawing(Model):
    name: str
    every: Duration = 15.0
    api_token: str = ""
    shapes: tuple[Annotated[Square | Circle, Field(discriminator="kind")], ...] = ()


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "drawing.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(file, Drawing)
    assert all(line.startswith(f"{file}: ") for line in str(caught.value).splitlines())
    return caught.value.problems


def test_a_good_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "drawing.yaml"
    file.write_text("name: one\nevery: 1m30s\nshapes: [{kind: circle, radius: 2}]\n")

    drawing = load_yaml(file, Drawing)

    assert drawing.every == 90
    assert drawing.shapes == (Circle(kind="circle", radius=2),)


def test_an_unknown_key_names_line_key_and_what_is_allowed(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "name: one\nevry: 15s\n")

    assert problem == (
        "line 2: evry: unknown key; did you mean every? (allowed: name, every, api_token, shapes)"
    )


def test_an_unknown_key_inside_a_tagged_choice_names_the_choice_s_keys(tmp_path: Path) -> None:
    (problem,) = problems(
        tmp_path, "name: one\nshapes:\n  - kind: square\n    side: 1\n    sides: 4\n"
    )

    assert problem.startswith("line 5: shapes.0.square.sides: unknown key; did you mean side?")
    assert "(allowed: kind, side)" in problem


def test_each_mistake_is_one_sentence(tmp_path: Path) -> None:
    found = problems(tmp_path, "every: soon\nshapes:\n- {kind: square, side: -1}\n")

    assert found == [
        "name: required, but missing",
        "line 1: every: expected a duration such as 250ms, 30s, 5m, 1h30m or a number of seconds,"
        " not 'soon'",
        "line 3: shapes.0.square.side: input should be greater than 0, not -1",
    ]


def test_a_secret_s_value_is_not_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "name: one\napi_token: 12345\n")

    assert "12345" not in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "not valid YAML"),
        ("- name\n", "expected a mapping"),
        ("", "expected a mapping"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, text)[0]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_yaml(tmp_path / "none.yaml", Drawing)


@given(st.integers(min_value=0, max_value=10**12))
def test_durations_survive_writing_and_reading(milliseconds: int) -> None:
    seconds = milliseconds / 1000

    assert Decimal(str(parse_duration(format_duration(seconds)))) == Decimal(str(seconds))


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "-5s", "1h-2m", "5mm", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:1/path", "http://host:1/path"),
        ("http://user:s3cret@host:1/path@x", "http://***@host:1/path@x"),
        ("https://t0ken@host", "https://***@host"),
        ("host:1", "host:1"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert public_address(url) == shown
