"""The images' recipes: pinned, small, without rights; and the extras they install are enough."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "containers"
RECIPES = ("collector", "loadgen")
COMMANDS = {"collector": ["collect", "--help"], "loadgen": ["load", "run", "--help"]}
MODULES = {
    "aiohttp", "celpy", "grafanalib", "jinja2", "jsonschema", "kubernetes", "matplotlib",
    "opentelemetry", "prometheus_client", "requests", "rich", "tokenizers", "uvloop",
}  # fmt: skip


def instructions(recipe: str) -> list[tuple[str, str]]:
    """Instruction and arguments of each step, continued lines joined."""
    text = (FOLDER / f"{recipe}.Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    steps = [line.split(None, 1) for line in lines]
    return [(name, " ".join(rest.split())) for name, rest in steps]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_pinned_staged_and_ends_without_rights(recipe: str) -> None:
    steps = instructions(recipe)
    names = [name for name, _ in steps]
    last = dict(steps[max(i for i, name in enumerate(names) if name == "FROM") :])

    assert re.fullmatch(r"PYTHON_IMAGE=[a-z./]+:\d+\.\d+\.\d+-slim-\w+", steps[0][1])
    assert names.count("FROM") == 2
    assert last["USER"] == "2000:2000"
    assert last["ENTRYPOINT"] == '["firsttoken"]'
    assert last["COPY"].startswith("--from=build ")
    assert not {"ADD", "CMD", "VOLUME", "SHELL"} & set(names)
    assert all("--no-cache-dir" in rest for name, rest in steps if "pip install" in rest)
    assert not re.search(r"sudo|curl|latest|apt", " ".join(rest for _, rest in steps))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_extra_of_an_image_is_enough_for_its_command(recipe: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (installed,) = re.findall(r"'\.\[([a-z]+)\]'", dict(instructions(recipe))["RUN"])
    wanted = " ".join(project["optional-dependencies"][installed])
    missing = sorted(name for name in MODULES if name.replace("_", "-") not in wanted)
    program = (
        "import sys\n"
        f"for name in {missing!r}:\n"
        "    sys.modules[name] = None\n"  # importing it now fails
        "from firsttoken.cli import main\n"
        f"main({COMMANDS[recipe]!r})\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert installed == recipe
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
