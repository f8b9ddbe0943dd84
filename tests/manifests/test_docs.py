"""The page on Kubernetes names every setting, and its smallest file works."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from firsttoken.manifests.bundle import bundle
from firsttoken.manifests.spec import DeploymentSpec

PAGE = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text()


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        parts = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        for part in parts:
            found += keys(part, f"{prefix}{name}.")
        if not parts:
            found.append(prefix + name)
    return found


@pytest.mark.parametrize("key", keys(DeploymentSpec))
def test_a_setting_is_documented(key: str) -> None:
    assert f"`{key}`" in PAGE


def test_every_documented_setting_exists() -> None:
    table = PAGE.partition("## Settings")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \|", table, re.MULTILINE)
    named = {key.strip("`") for row in documented for key in row.split(", ")}

    assert named == set(keys(DeploymentSpec))


def test_the_smallest_file_works() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    assert bundle(DeploymentSpec.model_validate(yaml.safe_load(text)), None).objects
