"""A mistake in a deployment file is one clear line, and exit code 2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from firsttoken.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "deployment.yaml"
SLO = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``firsttoken manifests`` in this process: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["manifests", *map(str, arguments)])
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, captured.out, captured.err

    return call


def latency(threshold: str, metric: str = "ttft") -> dict[str, Any]:
    objective = {
        "name": metric, "kind": "latency", "metric": metric, "threshold": threshold, "target": 95
    }  # fmt: skip
    changed: dict[str, Any] = SLO | {"objectives": [objective]}
    return changed


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"replica": 2}, "replica: unknown key; did you mean replicas?"),
    "name": ({"name": "Chat"}, "name: expected a name of at most 63 characters"),
    "image without a tag": (
        {"collector": {"image": "registry.example:5000/ft"}},
        "collector.image: an image with a tag other than latest, or with a digest, is required",
    ),
    "latest": (
        {"engine": {"image": "vllm/vllm-openai:latest"}},
        "engine.image: an image with a tag other than latest",
    ),
    "no version": (
        {"engine": {"image": "vllm/vllm-openai:nightly"}},
        "release: expected vLLM's version such as 0.32, because the image",
    ),
    "old version": ({"engine": {"image": "vllm/vllm-openai:v0.9.1"}}, "older than 0.18"),
    "memory": ({"engine": {"memory": "32GB"}}, "engine.memory: expected a quantity such as 500m"),
    "removed flag": (
        {"engine": {"arguments": ["--disable-log-requests"]}},
        "vLLM 0.32 has no --disable-log-requests (gone in 0.12)",
    ),
    "removed flag with underscores": (
        {"engine": {"arguments": ["--disable_log_requests=true"]}},
        "vLLM 0.32 has no --disable-log-requests",
    ),
    "flag of a setting": (
        {"engine": {"release": "0.30", "arguments": ["--logging-config.formatter=json"]}},
        "--logging-config.formatter is set by engine.log_format",
    ),
    "flag that is set anyway": (
        {"engine": {"arguments": ["--port=80"]}},
        "--port is set by engine.port",
    ),
    "key in arguments": (
        {"engine": {"arguments": ["--api-key=s3cr3t"]}},
        "--api-key cannot be used: a secret must not stand in arguments",
    ),
    "variable that there is not": (
        {"engine": {"arguments": ["--download-dir=$(DIR)"]}},
        "$(DIR) in --download-dir=$(DIR) is no variable of the container; it has HF_HOME",
    ),
    "secret in the environment": (
        {"engine": {"environment": {"OPENAI_API_KEY": "s3cr3t"}}},
        "what OPENAI_API_KEY holds looks like a secret",
    ),
    "one port twice": ({"collector": {"image": "ft:1", "port": 8000}}, "are both 8000"),
    "interval": ({"monitoring": {"interval": "10m"}}, "interval: expected between 1s and 5m"),
    "model": ({"model": "--model"}, "model: expected a model's name or path"),
    "objective file": ({"objectives": "absent.yaml"}, "absent.yaml: cannot be read: No such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_where_and_what_is_allowed(
    mistake: str, write: Write, run: Run
) -> None:
    changes, expected = MISTAKES[mistake]

    code, out, err = run("generate", write(**changes))

    assert code == 2
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1
    assert "s3cr3t" not in err


@pytest.mark.parametrize("text", ["", "[1]", "version: [", "version: firsttoken/v2\n"])
def test_what_is_no_deployment_file_is_refused(text: str, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text(text)

    code, out, err = run("generate", file)

    assert (code, out) == (2, "")
    assert str(file) in err
    assert "Traceback" not in err


def test_a_threshold_off_the_bounds_is_refused_where_no_bound_can_be_added(
    write: Write, run: Run
) -> None:
    engine = {"image": "vllm/vllm-openai:v0.30.0"}

    code, _, err = run("generate", write(latency("300ms"), engine=engine))

    assert code == 2
    assert "near are 250ms and 500ms" in err
    assert "(from vLLM 0.31; this is 0.30)" in err


def test_objectives_for_another_engine_are_refused(write: Write, run: Run) -> None:
    code, _, err = run("generate", write(latency("300ms") | {"engine": "other"}))

    assert code == 2
    assert "engine is other, but the deployment runs vllm" in err


def test_a_stream_goes_to_stdout_or_into_one_file(tmp_path: Path, run: Run) -> None:
    _, stream, _ = run("generate", EXAMPLE)
    code, out, err = run("generate", EXAMPLE, "--out", tmp_path)

    assert (code, out) == (0, "")
    assert err == (
        f"wrote 15 objects in 1 files to {tmp_path}\n"
        "chat costs Prometheus about 475 series a pod, 950 in all\n"
    )
    assert (tmp_path / "chat.yaml").read_text() == stream


def test_a_folder_for_kustomize_needs_a_place(tmp_path: Path, run: Run) -> None:
    code, _, err = run("generate", EXAMPLE, "--format", "kustomize")
    assert code == 2
    assert "needs --out" in err

    code, _, _ = run("generate", EXAMPLE, "--format", "kustomize", "--out", tmp_path / "new")
    folders = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert code == 0
    base = sorted(path.name for path in (tmp_path / "new" / "base").iterdir())
    assert folders == ["base", "overlays"]
    assert base == ["dashboards", "engine", "kustomization.yaml", "monitoring"]
