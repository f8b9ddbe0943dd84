"""From what was found to checks and a report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firsttoken.catalogue import QUEUE_DURATION, SOURCE, SOURCE_UP
from firsttoken.loadgen.records import Generator
from firsttoken.report.of_run import described
from firsttoken.report.schema import Engine, Report
from firsttoken.report.series import KV_CACHE
from firsttoken.rules.slo import SloFile
from firsttoken.validate import checks
from firsttoken.validate.compare import Evidence, compare
from firsttoken.validate.conclude import conclude, fairness
from firsttoken.validate.found import Found, Options
from firsttoken.validate.page import Page, Window, parse

Made = Callable[..., Window]
SLO = SloFile.model_validate(
    {
        "version": "firsttoken/v1",
        "service": "chat",
        "period": "30d",
        "objectives": [
            {
                "name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "250ms",
                "target": 95,
            }
        ],
    }
)  # fmt: skip


def concluded(found: Found) -> dict[str, Any]:
    report = conclude(found)
    assert Report.model_validate_json(report.model_dump_json()) == report, "reads back the same"
    return {"report": report, **{check.name: check for check in report.checks}}


def found_of(truth: Any, pages: Window, **changes: Any) -> Found:
    found = Found(Options(SLO, Path("out")))
    found.engine = Engine(url="http://engine", model="llama")
    found.run = truth.run()
    found.before, found.after = pages.before, pages.after
    found.comparisons = compare(found.run, pages, Evidence())
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_a_run_without_prometheus_passes_with_its_checks_skipped(truth: type, window: Made) -> None:
    told = truth()
    found = found_of(told, window(told.run()), no_prometheus="not installed")

    made = concluded(found)

    assert made["report"].verdict.exit_code == 0
    assert made["rules"].status == made["dashboards"].status == made["Prometheus"].status
    assert made["rules"].status == "skipped"
    assert "3 could not be made" in made["report"].verdict.headline


def test_a_mismatch_fails_a_run_whose_objectives_are_met(truth: type, window: Made) -> None:
    told = truth()
    found = found_of(told, window(told.run(), more={"length": 3}))

    made = concluded(found)

    assert made["report"].verdict.status == "failed"
    assert made["report"].verdict.exit_code == 1
    assert made["client and server"].details[0].startswith("requests: ")


def test_an_engine_that_never_answered_is_not_judged(truth: type, window: Made) -> None:
    told = truth(ttfts=[0.1] * 20, failed=20)
    found = found_of(told, window(told.run()), broken="the engine stopped answering 1 s in")

    made = concluded(found)

    assert made["report"].verdict.exit_code == 3
    assert "no request was answered" in made["report"].verdict.headline


def test_a_run_that_never_began_still_has_a_report() -> None:
    found = Found(Options(SLO, Path("out")), impossible="the engine cannot be reached")

    report = concluded(found)["report"]

    assert report.verdict.headline == "The engine cannot be reached."
    assert (report.verdict.exit_code, report.checks, report.load) == (3, (), None)


# --- Whether the generator was a fair witness -----------------------------------------------------

LATE = Generator(cpu_share=0.1, lag_p99=0.03, lag_p99_low=0.03, late_wakeups=0.03)


def fair(truth: Any, pages: Window, *, met: bool = True) -> str | None:
    run = truth.run()
    return fairness(run, compare(run, pages, Evidence(0.0, 0.05)), met=met).bottleneck


def test_late_wakeups_do_not_count_where_the_server_confirms_the_means(
    truth: type, window: Made
) -> None:
    told = truth(generator=LATE)

    assert fair(told, window(told.run()), met=False) is None


def test_late_wakeups_count_where_the_server_does_not_confirm_and_something_is_missed(
    truth: type, window: Made
) -> None:
    told = truth(generator=LATE)
    pages = window(truth(ttfts=[0.06] * 100).run())

    assert fair(told, pages, met=True) is None
    assert "late at p99" in str(fair(told, pages, met=False))


@pytest.mark.parametrize(
    "generator",
    [
        Generator(cpu_share=0.95),
        Generator(cpu_share=0.1, lag_p99=0.5, lag_p99_low=0.5),
        Generator(cpu_share=0.95, late_wakeups=0.03),
    ],
)
def test_a_busy_or_very_late_generator_is_the_bottleneck_whatever_the_server_says(
    truth: type, window: Made, generator: Generator
) -> None:
    told = truth(generator=generator)

    assert fair(told, window(told.run())) is not None


# --- Single checks --------------------------------------------------------------------------------


def test_a_threshold_that_the_running_engine_has_no_bucket_for_fails(
    truth: type, window: Made
) -> None:
    pages = window(truth().run())
    changed = SLO.model_copy(
        update={"objectives": (SLO.objectives[0].model_copy(update={"threshold": 0.3}),)}
    )

    good, bad = checks.bounds(SLO, pages.after), checks.bounds(changed, pages.after)

    assert (good.status, bad.status) == ("passed", "failed")
    assert "near are 250ms and 500ms" in bad.details[0]


def test_a_source_that_was_not_read_fails_by_name() -> None:
    label, name = SOURCE.label, SOURCE_UP.prometheus
    page = parse(f'{name}{{{label}="engine"}} 1\n{name}{{{label}="gpu"}} 0\n')

    found = checks.sources(page)

    assert found.status == "failed"
    assert found.details == ("source gpu was not read",)


def test_prometheus_must_hold_the_counts_that_the_page_has(truth: type, window: Made) -> None:
    pages = window(truth().run())

    exact = checks.recording(pages, {"input": 5000, "output": 1100})
    off = checks.recording(pages, {"input": 5000, "output": 1099})

    assert (exact.status, off.status) == ("passed", "failed")


def test_a_restarted_engine_fails(truth: type, window: Made) -> None:
    pages = window(truth().run())

    assert checks.steadiness(None, Window(pages.after, pages.before)).status == "failed"
    assert checks.steadiness(None, pages).status == "passed"


# --- Advice and words -----------------------------------------------------------------------------


def test_advice_names_the_stage_that_dominates(truth: type, window: Made) -> None:
    told = truth(ttfts=[2.0] * 50)
    queued = window(told.run())
    computing = window(told.run(), latencies={QUEUE_DURATION: [0.01] * 50})

    def advice(pages: Window) -> str:
        return " ".join(concluded(found_of(told, pages))["report"].verdict.advice)

    assert "The queue dominates" in advice(queued)
    assert "Prefill dominates" in advice(computing)


def test_a_full_cache_is_named(truth: type, window: Made) -> None:
    told = truth(ttfts=[2.0] * 50)
    series = {KV_CACHE: ((0.0, 0.4), (1.0, 0.99))}

    found = found_of(told, window(told.run()), series=series)

    assert any("99% full" in line for line in concluded(found)["report"].verdict.advice)


def test_no_advice_where_nothing_was_missed(truth: type, window: Made) -> None:
    told = truth()

    assert concluded(found_of(told, window(told.run())))["report"].verdict.advice == ()


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"arrivals": {"kind": "closed", "concurrency": 8}}, "8 users at a time"),
        ({"arrivals": {"kind": "closed", "concurrency": 1}}, "one user at a time"),
        (
            {"arrivals": {"kind": "poisson", "rate": 4.0}},
            "4 requests per second, at random times (Poisson)",
        ),
        ({"arrivals": {"kind": "constant", "rate": 2.5}}, "2.5 requests per second, evenly spaced"),
    ],
)
def test_a_load_is_told_in_words(load: dict[str, Any], words: str) -> None:
    lengths = {"kind": "uniform", "low": 3, "high": 9}

    text = described({**load, "prompt_tokens": lengths, "output_tokens": lengths})

    assert text == f"{words}, prompts of 3 to 9 and answers of 3 to 9 tokens"


def test_a_page_without_the_engine_is_no_crash(truth: type) -> None:
    told = truth()
    empty = Window(Page(), Page(), "llama")

    report = concluded(found_of(told, empty))["report"]

    assert {row.status for row in report.comparisons} == {"not_compared"}
    assert report.verdict.exit_code == 1, "the threshold cannot be measured on this engine"
