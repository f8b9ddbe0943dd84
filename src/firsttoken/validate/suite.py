"""The suite file: named scenarios, each a load, its objectives, faults and what is expected."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, StringConstraints, model_validator

from firsttoken.config import Model, load_yaml, validate_model
from firsttoken.errors import ConfigError
from firsttoken.loadgen.settings import LoadFile
from firsttoken.rules.slo import SloFile
from firsttoken.simulate.faults import Faults
from firsttoken.validate.alerts import Expected

__all__ = ["Case", "Expect", "SuiteFile", "load"]

_ALERT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?: ?\((?P<slo>[^()]+)\))?")
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
AlertText = Annotated[str, StringConstraints(pattern=rf"^{_ALERT.pattern}$")]


class Expect(Model):
    """What a scenario must come to; by default every objective is met and nobody is woken."""

    verdict: Literal["passed", "missed", "failed"] = "passed"
    missed: tuple[str, ...] | None = Field(
        default=None, description="The objectives that are missed, these and no others."
    )
    alerts: tuple[AlertText, ...] = Field(
        default=(),
        description="The alerts that reach Alertmanager, these and no others: a name, or a name and"
        " an objective such as LLMErrorBudgetBurn(ttft).",
    )


class Scenario(Model):
    """One scenario; what it leaves out is that of the suite."""

    name: Name
    about: str = ""
    load: dict[str, Any] = Field(
        default_factory=dict, description="Keys of a load file, instead of the suite's."
    )
    objectives: tuple[dict[str, Any], ...] | None = Field(
        default=None, description="As in an objective file, instead of the suite's."
    )
    faults: dict[str, Any] = Field(
        default_factory=dict, description="Faults of firsttoken simulate, in force from the start."
    )
    expect: Expect = Expect()


class SuiteFile(Model):
    """Scenarios that are validated one after the other; paths are beside the file."""

    version: Literal["firsttoken/v1"]
    slo: Path
    load: Path | None = None
    scenarios: tuple[Scenario, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [scenario.name for scenario in self.scenarios]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two scenarios have the name {name}; each needs its own")
        return self


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario with everything filled in; ``texts`` are its objective and load file."""

    scenario: Scenario
    slo: SloFile
    load: LoadFile
    faults: tuple[str, ...]
    slo_text: str
    load_text: str

    @property
    def alerts(self) -> tuple[Expected, ...]:
        """The alerts that it expects."""
        found = [_ALERT.fullmatch(text) for text in self.scenario.expect.alerts]
        return tuple(Expected(one["name"], one["slo"]) for one in found if one)


def load(path: Path) -> tuple[SuiteFile, tuple[Case, ...]]:
    """The suite at ``path`` and its cases; raises ConfigError with a sentence for each mistake."""
    suite = load_yaml(path, SuiteFile)
    slo = _mapping(path.parent / suite.slo)
    given = _mapping(path.parent / suite.load) if suite.load else {}
    return suite, tuple(_case(path, scenario, slo, given) for scenario in suite.scenarios)


def _fault(name: str, value: object) -> str:
    """A fault as the command line takes it."""
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def _mapping(path: Path) -> dict[str, Any]:
    """The keys of a YAML file; whether they are right is seen when a scenario has its own in."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(path, [f"cannot be read: {exc.strerror}"]) from None
    except yaml.YAMLError:
        raise ConfigError(path, ["not valid YAML"]) from None
    if not isinstance(found, dict):
        raise ConfigError(path, ["expected a mapping of keys to values at the top"])
    return found


def _case(path: Path, scenario: Scenario, slo: dict[str, Any], given: dict[str, Any]) -> Case:
    where = f"{path}: scenario {scenario.name}"
    objectives = scenario.objectives
    promised = slo if objectives is None else {**slo, "objectives": list(objectives)}
    asked = {**given, **scenario.load}
    known = validate_model(promised, SloFile, f"{where}: objectives")
    for name in scenario.expect.missed or ():
        if name not in {objective.name for objective in known.objectives}:
            raise ConfigError(where, [f"expect.missed: there is no objective {name}"])
    faults = Faults().changed(scenario.faults, origin=f"{where}: faults")
    return Case(
        scenario,
        known,
        validate_model(asked, LoadFile, f"{where}: load"),
        tuple(_fault(name, getattr(faults, name)) for name in scenario.faults),
        yaml.safe_dump(promised, sort_keys=False),
        yaml.safe_dump(asked, sort_keys=False),
    )
