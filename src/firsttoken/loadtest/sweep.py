"""Loads side by side: every rate or concurrency with every length of prompt and answer."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from firsttoken.errors import ConfigError, UsageError
from firsttoken.loadgen.judge import Objective
from firsttoken.loadtest.points import front, point
from firsttoken.loadtest.schema import Point, SweepReport
from firsttoken.loadtest.step import Ask, Site, run

__all__ = ["Grid", "report", "sweep"]

POINTS = "points"


@dataclass(frozen=True, slots=True)
class Grid:
    """What is swept; an empty axis is as the load file has it.  Times are seconds."""

    rates: tuple[float, ...] = ()
    concurrencies: tuple[int, ...] = ()
    prompts: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    duration: float | None = None
    warmup: float | None = None
    seed: int | None = None

    def asks(self) -> tuple[Ask, ...]:
        """Every load, those of one shape of request one after another."""
        if bool(self.rates) == bool(self.concurrencies):
            raise UsageError("give either --rate or --concurrency, such as --rate 1,2,4,8")
        return tuple(
            Ask(
                rate=rate, concurrency=concurrency, duration=self.duration, warmup=self.warmup,
                seed=self.seed, prompt_tokens=prompt, output_tokens=output,
            )
            for prompt, output, rate, concurrency in itertools.product(
                self.prompts or (None,), self.outputs or (None,),
                self.rates or (None,), self.concurrencies or (None,),
            )
        )  # fmt: skip


def sweep(
    site: Site,
    grid: Grid,
    objectives: Sequence[Objective],
    out: Path,
    told: Callable[[str], None],
    ended: Callable[[Point], None],
) -> tuple[Point, ...]:
    """Every load of the grid; those that an earlier call left in ``out`` are not run again.

    Raises ConfigError when ``out`` cannot be written, NotJudgedError when the target fails.
    """
    folder = out / POINTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(out, [f"cannot be written: {exc.strerror}"]) from None
    asks, points = grid.asks(), []
    for number, ask in enumerate(asks, 1):
        file = folder / f"{_name(ask)}.jsonl"
        kept = _kept(file.with_suffix(".json"), site, objectives)
        if kept is None:
            where = f"{number} of {len(asks)}: {_name(ask)}"
            done = run(site, ask, file, lambda text, where=where: told(f"{where}: {text}"))  # type: ignore[misc]
            kept = point(done.run, ask, objectives, done.seen, f"{POINTS}/{file.name}")
            shape = {**_identity(site, objectives), "point": kept.model_dump(mode="json")}
            text = json.dumps(shape, indent=2) + "\n"
            file.with_suffix(".json").write_text(text, encoding="utf-8")
        points.append(kept)
        ended(kept)
    return tuple(points)


def report(
    points: Sequence[Point],
    site: Site,
    objectives: Sequence[Objective],
    engine: str | None,
    command: str,
) -> SweepReport:
    """The report of a sweep.

    Fronts are of points with the same lengths only: longer answers are no worse deployment.
    """
    fronts = {"ttft": set[int](), "tpot": set[int]()}
    shapes = dict.fromkeys((one.prompt_tokens, one.output_tokens) for one in points)
    for shape in shapes:
        members = [
            number
            for number, one in enumerate(points)
            if (one.prompt_tokens, one.output_tokens) == shape
        ]
        gains = [points[number].output_rate for number in members]
        for name, found in fronts.items():
            latencies = [getattr(points[number], name) for number in members]
            costs = [one.p95 if one else None for one in latencies]
            found.update(members[place] for place in front(gains, costs))
    known = [(one.goodput, -number) for number, one in enumerate(points) if one.goodput is not None]
    return SweepReport(
        target=site.target,
        model=site.model,
        engine=engine,
        objectives=tuple(str(one) for one in objectives),
        points=tuple(points),
        front_ttft=tuple(sorted(fronts["ttft"])),
        front_tpot=tuple(sorted(fronts["tpot"])),
        best=-max(known)[1] if known else None,
        command=command,
    )


def _name(ask: Ask) -> str:
    """Such as ``rate-2-in-128-out-64``."""
    parts = [
        ("rate", ask.rate), ("users", ask.concurrency),
        ("in", ask.prompt_tokens), ("out", ask.output_tokens),
    ]  # fmt: skip
    return "-".join(f"{name}-{value:g}" for name, value in parts if value is not None)


def _identity(site: Site, objectives: Sequence[Objective]) -> dict[str, object]:
    load = site.load_file.read_text(encoding="utf-8") if site.load_file else None
    return {
        "target": site.target,
        "model": site.model,
        "load": load,
        "objectives": [str(one) for one in objectives],
    }


def _kept(file: Path, site: Site, objectives: Sequence[Objective]) -> Point | None:
    """The point that an earlier sweep left; raises ConfigError where it was another sweep."""
    if not file.exists():
        return None
    try:
        shape = json.loads(file.read_text(encoding="utf-8"))
        kept = Point.model_validate(shape.pop("point"))
    except (ValueError, KeyError, ValidationError):
        raise ConfigError(file, ["not a point of a sweep; choose another --out"]) from None
    apart = [key for key, value in _identity(site, objectives).items() if shape.get(key) != value]
    if apart:
        raise ConfigError(
            file, [f"is of a sweep with another {', '.join(apart)}; choose another --out"]
        )
    return kept
