"""Who may import whom, and what every module has; read from the source, nothing is imported."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "firsttoken"
PARTS = ("collector", "dashboards", "exporters", "loadgen", "manifests", "rules")
INNER = ("loadtest", "logs", "otlp", "report", "simulate", "traces", "validate")
MOST_LINES = 400

# Several modules that stand for one thing: the catalogue of metrics and what it is written in.
CATALOGUE = {
    "attributes",
    "catalogue",
    "genai",
    "hardware",
    "http",
    "metric",
    "naming",
    "own",
    "places",
    "recorded",
    "vocabulary",
}
# Of these, the ones that hold entries and nothing else; ``catalogue`` exports what others use.
TABLES = {"attributes", "genai", "hardware", "http", "own"}
# What any part may use.
GROUND = {"arguments", "errors", "config", "prometheus", "servers"}
# Part or module -> what of firsttoken it may import, beside itself.  Nobody imports cli.
MAY_IMPORT = {
    "": set(),
    "__main__": {"cli"},
    "errors": set(),
    "config": {"errors"},
    "arguments": {"config"},
    "prometheus": {"errors", "config"},
    "servers": {"errors", "config"},
    "catalogue": set(),
    "promql": {"catalogue"},
    "exporters": {"catalogue", *GROUND},
    "collector": {"catalogue", "exporters", "otlp", *GROUND},
    # From the names of sources on a command line to a vocabulary, for rules and dashboards.
    "sources": {"catalogue", "exporters", "errors"},
    "rules": {"catalogue", "promql", "sources", *GROUND},
    "dashboards": {"catalogue", "promql", "sources", *GROUND},
    # An independent witness: it knows no metrics, and so does the engine it is tried on.
    "loadgen": {"errors", "config"},
    "simulate": {"errors", "config"},
    # A protocol, and what two kinds of signals say; the records of a load are plain values.
    "otlp": {"errors", "config"},
    "traces": {"catalogue", "otlp", "loadgen.identity", "loadgen.records", *GROUND},
    "logs": {"catalogue", *GROUND},
    # A report of a load alone needs nothing of a server's, and knows no metric either.
    "report": {"loadgen", "errors", "config"},
    # Of the collector its settings; what an autoscaler asks is built from the catalogue too.
    "manifests": {
        *("catalogue", "promql", "collector.settings", "dashboards", "rules"),
        *("logs.shipping", "traces.otelcol"),
        *GROUND,
    },
    "validate": {
        *("catalogue", "promql", "exporters", "collector", "rules", "dashboards"),
        *("loadgen", "manifests", "otlp", "report", "simulate", "traces", *GROUND),
    },
    # The generator's records beside the server's own metrics; its statistics are the generator's.
    "loadtest": {"catalogue", "loadgen", "rules", "validate", *GROUND},
    # It starts the other parts by name, and only the one that is asked for.
    "cli": {"errors"},
}


def modules() -> dict[str, Path]:
    """Every module, by its name below ``firsttoken``, at its real place."""
    found = {}
    folders = (PACKAGE, *(PACKAGE / inner for inner in INNER), *map(ROOT.joinpath, PARTS))
    for folder in folders:
        prefix = "" if folder == PACKAGE else f"{folder.name}."
        for file in folder.glob("*.py"):
            name = prefix + ("" if file.stem == "__init__" else file.stem)
            found[name.rstrip(".")] = file
    return found


MODULES = modules()


@cache
def tree(name: str) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def unit(module: str) -> str:
    """The line of ``MAY_IMPORT`` that a module falls under."""
    head = module.split(".")[0]
    return "catalogue" if head in CATALOGUE else head


def imports(name: str) -> set[tuple[str, str]]:
    """Modules of firsttoken that a module imports, each with the name that it takes from it."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("firsttoken.") in MODULES
                found.add((whole, "") if is_module else (node.module, alias.name))
    return {
        (module.removeprefix("firsttoken").removeprefix("."), taken)
        for module, taken in found
        if module.split(".")[0] == "firsttoken"
    }


def assigned(name: str) -> set[str]:
    """Names that a module defines or imports at its top."""
    names: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def exported(name: str) -> list[str] | None:
    """What ``__all__`` lists, or None where there is none."""
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def test_every_part_has_its_line_in_the_import_table() -> None:
    """A part, or a module beside the parts, cannot come in unseen."""
    assert {unit(name) for name in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_follow_the_table(name: str) -> None:
    """The data flow has one direction, and the load generator stays a witness."""
    own = unit(name)
    wrong = {
        module
        for module, _ in imports(name)
        if unit(module) != own and not {module, unit(module)} & MAY_IMPORT[own]
    }

    assert not wrong, f"{MODULES[name]} may import {sorted(MAY_IMPORT[own])}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_what_a_module_exports_is_imported_from_it(name: str) -> None:
    """``__all__`` is the seam between modules: all of it exists, and nothing else is used."""
    for module, taken in imports(name):
        if taken and module not in TABLES:
            assert taken in (exported(module) or []), f"{name} takes {taken} from {module}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_says_what_it_is_and_what_it_exports(name: str) -> None:
    """A docstring, and an ``__all__`` of names that exist; tables of entries export them all."""
    assert ast.get_docstring(tree(name)), "no docstring"
    names = exported(name)
    if names is None and (name in TABLES or MODULES[name].stem in {"__init__", "__main__"}):
        return
    assert names is not None, "no __all__"
    assert sorted(set(names)) == sorted(names)
    assert set(names) <= assigned(name)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_is_too_long_to_read_at_once(name: str) -> None:
    """Larger than this, it has two subjects."""
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= MOST_LINES
