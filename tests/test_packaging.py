"""What is built and installed: the table of packages, the links, the wheel and the extras."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "firsttoken"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = {
    name.removeprefix("firsttoken."): folder
    for name, folder in SETUPTOOLS["package-dir"].items()
    if name != "firsttoken"
}
INNER = ("logs", "otlp", "report", "simulate", "traces", "validate")
NOT_BUILT = (".*", "build", "dist", "out", "tests", "docs", "*.egg-info", "__pycache__")

# Part -> the extras whose installation is enough to run it.
ENOUGH = {
    "collector": {"collector", "otlp"},  # the latter where it pushes over OTLP
    "dashboards": {"dashboards"},
    "exporters": {"profiles"},
    "loadgen": {"loadgen", "parquet", "ray"},  # for a run on a cluster, and for its table
    "loadtest": {"loadtest", "parquet"},
    "manifests": {"kubernetes", "dashboards", "rules"},
    "report": {"loadgen", "parquet", "ray"},  # through the commands of loadgen
    "rules": {"rules"},
    "logs": {"collector"},
    "otlp": {"otlp"},
    "simulate": {"simulate"},
    "traces": {"otlp", "parquet"},
    "validate": {"validate", "parquet"},
}
# Import name -> distribution, where what another one brings is used knowingly.
BROUGHT_ALONG = {
    "attr": "grafanalib",  # whose own classes are made with it
    "urllib3": "kubernetes",  # whose connections fail with its errors
    "uvloop": "aiohttp",  # used where it is there
    "google": "opentelemetry-proto",  # protobuf, which its messages are made of
    "markupsafe": "jinja2",  # whose safe strings they are
    "yarl": "aiohttp",  # whose URLs they are
}


def source_files(root: Path) -> dict[str, Path]:
    """Every file of the packages below ``root`` by its place in the wheel."""
    found = {}
    for name in SETUPTOOLS["packages"]:
        part = name.removeprefix("firsttoken").removeprefix(".")
        folder = root / FOLDERS.get(part, f"src/firsttoken/{part}")
        for file in folder.glob("*.py"):
            found[f"{name.replace('.', '/')}/{file.name}"] = file
        for pattern in SETUPTOOLS["package-data"].get(name, []):
            for file in folder.glob(pattern):
                found[f"{name.replace('.', '/')}/{file.relative_to(folder)}"] = file
    return found


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A wheel built from a copy of the tree, with nothing old in ``build/``, and what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*NOT_BUILT))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "-w", str(folder), str(tree)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built, set(source_files(tree))


def test_table_packages_links_and_folders_agree() -> None:
    """A part is in all four places or in none."""
    listed = {name.removeprefix("firsttoken.") for name in SETUPTOOLS["packages"][1:]}
    own = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py") if not is_link(folder)}
    links = {path.name: str(path.readlink()) for path in PACKAGE.iterdir() if path.is_symlink()}

    assert {part: f"../../{folder}" for part, folder in FOLDERS.items()} == links
    assert {part: part for part in FOLDERS} == FOLDERS
    assert listed == own | set(FOLDERS)
    assert all((ROOT / folder / "__init__.py").is_file() for folder in FOLDERS.values())


def is_link(file: Path) -> bool:
    """Whether a file is seen through one of the links."""
    return file.parent.is_symlink()


def test_folders_are_flat() -> None:
    """A folder below a part would be shipped by nobody."""
    stray = [
        file
        for part in (*FOLDERS.values(), *(f"src/firsttoken/{name}" for name in INNER))
        for file in (ROOT / part).glob("*/**/*.py")
        if "node_modules" not in file.parts
    ]

    assert not stray


def test_the_wheel_has_every_module_and_data_file_and_one_top_level_name(
    wheel: tuple[Path, set[str]],
) -> None:
    """Whoever installs it has what runs in the checkout; site-packages gains one name."""
    built, wanted = wheel
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    info = f"firsttoken-{version('firsttoken')}.dist-info"

    assert {name.split("/")[0] for name in names} == {"firsttoken", info}
    assert {name for name in names if not name.startswith(info)} == wanted
    assert f"{info}/licenses/LICENSE" in names


def test_no_data_file_is_left_out_of_the_wheel() -> None:
    """What lies in a part and is no module is listed as its data."""
    shipped = set(source_files(ROOT).values())
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", *FOLDERS.values(), "src/firsttoken"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    files = {ROOT / name for name in tracked if not (ROOT / name).is_symlink()}

    assert {str(file) for file in files - shipped if file.exists()} == set()


def test_the_installed_command_and_module_say_their_version() -> None:
    """``firsttoken --version`` and ``python -m firsttoken --version``."""
    script = Path(sys.executable).with_name("firsttoken")
    for command in ([str(script)], [sys.executable, "-m", "firsttoken"]):
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, check=False, cwd="/"
        )
        assert (done.returncode, done.stdout.split()[-1]) == (0, PROJECT["project"]["version"])


@pytest.mark.parametrize("part", [*FOLDERS, *INNER])
def test_parts_import_as_one_package_and_never_by_their_folders_name(part: str) -> None:
    """``firsttoken.rules`` is there; ``rules`` is not, wherever Python is started."""
    importlib.import_module(f"firsttoken.{part}")
    done = subprocess.run(
        [sys.executable, "-c", f"import {part}"], capture_output=True, check=False, cwd="/"
    )

    assert done.returncode != 0


def imported(module: str) -> Iterator[str]:
    """The modules that a module of firsttoken imports, those inside functions too."""
    file = PACKAGE.joinpath(*module.split(".")[1:])
    path = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module.split(".")[0] == "firsttoken":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of firsttoken, and not something in one."""
    file = PACKAGE.joinpath(*name.split(".")[1:])
    return name.split(".")[0] == "firsttoken" and (
        file.is_dir() or file.with_suffix(".py").exists()
    )


def third_party(part: str) -> set[str]:
    """Import names from outside that running a part can come across."""
    queue = [f"firsttoken.{part}.{file.stem}" for file in (PACKAGE / part).glob("*.py")]
    queue = [name.removesuffix(".__init__") for name in queue]
    seen: set[str] = set()
    outside: set[str] = set()
    while queue:
        module = queue.pop()
        seen.add(module)
        for name in imported(module):
            if is_module(name) and name not in seen:
                queue.append(name)
            elif name.split(".")[0] != "firsttoken":
                outside.add(name.split(".")[0])
    return outside - set(sys.stdlib_module_names)


def requirements(lines: list[str]) -> set[str]:
    """Normalised names of the distributions that lines of requirements ask for."""
    found = set()
    for line in lines:
        match = re.match(r"firsttoken\[(.+)\]", line)
        if match:
            for extra in match[1].split(","):
                found |= requirements(PROJECT["project"]["optional-dependencies"][extra])
        else:
            found.add(normal(re.split(r"[^\w.-]", line)[0]))
    return found


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("part", sorted(ENOUGH))
def test_a_parts_extra_declares_all_that_it_imports(part: str) -> None:
    """`pip install firsttoken[collector]` is enough for the sidecar, and so on."""
    declared = requirements(PROJECT["project"]["dependencies"])
    for extra in ENOUGH[part]:
        declared |= requirements(PROJECT["project"]["optional-dependencies"][extra])
    known = packages_distributions()
    needed = {
        name: {normal(owner) for owner in (*known.get(name, [name]), BROUGHT_ALONG.get(name, name))}
        for name in third_party(part)
    }

    assert {name for name, owners in needed.items() if not owners & declared} == set()
