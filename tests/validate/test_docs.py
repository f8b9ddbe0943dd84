"""The page on validate says what the command has."""

from pathlib import Path

import pytest

from firsttoken.validate.commands import validate
from firsttoken.validate.found import FILES

PAGE = (Path(__file__).parents[2] / "docs" / "validate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "option",
    [name for parameter in validate.params for name in parameter.opts if name.startswith("--")],
)
def test_every_option_is_in_the_table(option: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `--")]

    assert any(f"`{option}" in row for row in rows)


def test_no_option_is_in_the_table_that_the_command_lacks() -> None:
    known = {name for parameter in validate.params for name in parameter.opts}
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `--")]
    told = {word.strip("`,") for row in rows for word in row.split() if word.startswith("`--")}

    assert told <= known


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_the_report_is_told(name: str) -> None:
    assert f"`{name}`" in PAGE or f"`{name}/`" in PAGE
