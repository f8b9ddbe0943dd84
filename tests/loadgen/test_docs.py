"""The page on the load generator names every setting, flag and field."""

from pathlib import Path

import click
import pytest

from firsttoken.cli import firsttoken
from firsttoken.loadgen.records import Record
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.worker import Snapshot

PAGE = (Path(__file__).parents[2] / "docs" / "loadgen.md").read_text()


@pytest.mark.parametrize(
    "name", sorted({*LoadFile.model_fields, *Record.__slots__, *Snapshot._fields})
)
def test_every_setting_and_field_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_flag_is_on_the_page() -> None:
    load = firsttoken.get_command(click.Context(firsttoken), "load")
    assert isinstance(load, click.Group)
    for command in load.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for flag in parameter.opts:
                    assert flag in PAGE


def test_settings_have_the_default_that_the_page_says() -> None:
    given = LoadFile()
    for name in ("max_in_flight", "shared_prefix_tokens", "seed"):
        assert f"| `{name}` | {getattr(given, name)} |" in PAGE
    for name in ("duration", "warmup", "timeout"):
        assert f"| `{name}` | `{getattr(given, name):g}s` |" in PAGE
    for name in ("prompt_tokens", "output_tokens"):
        assert f"| `{name}` | {getattr(given, name).tokens} |" in PAGE
