"""The command as a person drives it: help, mistakes, exit codes."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from firsttoken.cli import COMMANDS, EXTRAS, MEMBERS

PYTHON = sys.executable


def firsttoken(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "firsttoken", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=cwd,
    )


def test_help_lists_every_command_and_shows_examples() -> None:
    done = firsttoken("--help")

    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert "Examples:" in done.stdout
    assert "Exit codes:" in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_command_shows_an_example_of_it(name: str) -> None:
    done = firsttoken(name, "--help")

    assert done.returncode == 0, done.stderr
    assert f"firsttoken {name}" in done.stdout.partition("Examples:")[2], done.stdout


def test_version_is_that_of_the_package() -> None:
    done = firsttoken("--version")

    assert done.returncode == 0
    assert done.stdout.startswith("firsttoken, version ")


def test_completion_offers_the_commands() -> None:
    done = subprocess.run(
        [Path(PYTHON).with_name("firsttoken")],
        env={
            **os.environ,
            "_FIRSTTOKEN_COMPLETE": "bash_complete",
            "COMP_WORDS": "firsttoken va",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert "validate" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("rules", "generate", "missing.yaml"), "missing.yaml"),
        (("collect", "--config", "missing.yaml"), "missing.yaml"),
        (("load", "run", "--target", "not a url"), "not a url"),
        (("validate", "--target", "http://127.0.0.1:1"), "--slo"),
        (("simulate", "--fault", "prefill_slowdown=many"), "prefill_slowdown"),
        (("manifests", "generate", "missing.yaml"), "missing.yaml"),
    ],
)
def test_a_mistake_is_named_without_a_traceback_and_ends_with_2(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = firsttoken(*arguments, cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version: firsttoken/v1\nservice: chat\nobjektives: []\n", "did you mean objectives?"),
        ("version: firsttoken/v1\nservice: [\n", "not valid YAML"),
        ("version: firsttoken/v1\nservice: chat\nperiod: soon\nobjectives: []\n", "expected a"),
    ],
)
def test_a_mistake_in_a_file_names_file_line_and_what_is_allowed(
    text: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "slo.yaml").write_text(text)

    done = firsttoken("rules", "generate", "slo.yaml", cwd=tmp_path)

    assert done.returncode == 2
    assert "slo.yaml: line " in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_that_is_not_there_cannot_be_judged(tmp_path: Path) -> None:
    slo = Path(__file__).parents[1] / "examples" / "slo.yaml"

    done = firsttoken("validate", "--target", "http://127.0.0.1:1", "--slo", str(slo), cwd=tmp_path)

    assert done.returncode == 3, done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


# As where the package is not installed: a finder that comes first and finds nothing.
WITHOUT = """
import sys
from importlib import metadata

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{package}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from firsttoken.cli import main
main({arguments})
"""


def without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(package=package, arguments=list(arguments))
    return subprocess.run(
        [PYTHON, "-c", code], capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("aiohttp", ("collect", "--source", "engine=8000"), "collector"),
        ("aiohttp", ("collect", "--help"), "collector"),
        ("opentelemetry", ("trace", "--help"), "otlp"),
        ("numpy", ("load", "run", "--help"), "loadgen"),
        ("requests", ("load", "sweep", "--help"), "loadtest"),
    ],
)
def test_a_command_without_its_packages_says_what_to_install(
    package: str, arguments: tuple[str, ...], extra: str
) -> None:
    done = without(package, *arguments)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"needs {package}" in done.stderr
    assert f"pip install 'firsttoken[{extra}]'" in done.stderr


def test_help_lists_commands_whose_packages_are_not_there() -> None:
    done = without("aiohttp", "--help")

    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert "(needs firsttoken[collector])" in done.stdout


def test_each_command_has_an_extra_that_the_package_declares() -> None:
    declared = set(metadata.metadata("firsttoken").get_all("Provides-Extra") or ())

    assert {*COMMANDS, *(name for group in MEMBERS.values() for name in group)} <= EXTRAS.keys()
    assert set(EXTRAS.values()) <= declared
