"""Text stays text for the YAML reader of Kubernetes, which is not Python's."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from firsttoken.manifests.render import to_yaml

# What Python's reader or Kubernetes' one would take for a number, a truth value or nothing.
TEXTS = [
    "12e3", "1e3", "123e4567", "0x1F", "0o17", "017", "1_000", "1:30", "+1", "-1", ".5", "-.inf",
    ".nan", "y", "N", "yes", "no", "on", "Off", "true", "null", "~", "", "2026-11-24",
    "a: b", "a #b", "- a", "{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "`a", "'", '"', "a\\nb",
    " padded ", "tab\there", "two\nlines\n", "two\n  indented", "trailing \nspace", "模型", "é",
    "\u2028", "$(VAR)", "--flag=1", "?", "-", "|", ">", ",",
]  # fmt: skip


def test_kubectl_reads_every_text_as_it_was(tmp_path: Path) -> None:
    data = {f"k{index}": text for index, text in enumerate(TEXTS)}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
    (tmp_path / "a.yaml").write_text(to_yaml([item]))
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n")

    done = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["data"] == data
    assert yaml.safe_load(to_yaml([item])) == item
