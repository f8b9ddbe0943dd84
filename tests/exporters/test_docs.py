"""The documentation of metrics and profiles says what is there."""

import os
from pathlib import Path

import pytest

from firsttoken.exporters import document, profile
from firsttoken.exporters.schema import Instance, KnownLine, MetricLine, ProfileFile, Values

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_metrics_is_the_catalogues() -> None:
    file = DOCS / "metrics.md"
    text = document.markdown()
    if os.environ.get("FIRSTTOKEN_GOLDEN") == "1":
        file.write_text(text)
        pytest.fail(f"{file.name} rewritten, look at git diff")

    assert text == file.read_text()


@pytest.mark.parametrize("name", profile.builtin_names())
def test_every_profile_has_its_line(name: str) -> None:
    assert f"| `{name}` |" in (DOCS / "profiles.md").read_text()


@pytest.mark.parametrize("model", [ProfileFile, MetricLine, KnownLine, Instance, Values])
def test_every_key_of_a_profile_is_described(model: type[ProfileFile]) -> None:
    text = (DOCS / "profiles.md").read_text()
    keys = [field.alias or name for name, field in model.model_fields.items()]

    assert [key for key in keys if f"`{key}`" not in text] == []
