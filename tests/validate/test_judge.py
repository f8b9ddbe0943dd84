"""Objectives held against records, and the one verdict."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.catalogue import QUEUE_DURATION
from firsttoken.report import words
from firsttoken.report.schema import Check, Objective, Status
from firsttoken.report.verdict import verdict
from firsttoken.rules.slo import SloFile
from firsttoken.validate import judge
from firsttoken.validate.page import Window

Made = Callable[..., Window]


def slo(*objectives: dict[str, Any]) -> SloFile:
    return SloFile.model_validate(
        {"version": "firsttoken/v1", "service": "chat", "period": "30d", "objectives": objectives}
    )


TTFT = {"name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "250ms", "target": 95}
QUEUE = {"name": "queue", "kind": "latency", "metric": "queue", "threshold": "500ms", "target": 95}
AVAILABLE = {"name": "availability", "kind": "availability", "target": 99.5}


def test_the_share_of_requests_within_the_threshold_decides(truth: type, window: Made) -> None:
    run = truth(ttfts=[0.1] * 95 + [1.0] * 5).run()
    worse = truth(ttfts=[0.1] * 94 + [1.0] * 6).run()

    (met,) = judge.objectives(slo(TTFT), run, window(run))
    (missed,) = judge.objectives(slo(TTFT), worse, window(worse))

    assert (met.status, met.attained, met.good, met.count) == ("passed", 0.95, 95, 100)
    assert (missed.status, missed.attained) == ("missed", 0.94)
    assert met.server_attained == 0.95, "the server's own buckets say the same"


def test_a_failed_request_meets_no_objective(truth: type, window: Made) -> None:
    run = truth(failed=6).run()

    ttft, available = judge.objectives(slo(TTFT, AVAILABLE), run, window(run))

    assert ttft.status == available.status == "missed"
    assert available.good == 94
    assert ttft.server_attained == 1.0, "the server's histogram does not know them"


def test_a_queue_objective_is_judged_from_the_server(truth: type, window: Made) -> None:
    run = truth().run()

    (met,) = judge.objectives(slo(QUEUE), run, window(run))
    pages = window(run, latencies={QUEUE_DURATION: [2.0] * 100})
    (missed,) = judge.objectives(slo(QUEUE), run, pages)
    (unknown,) = judge.objectives(slo(QUEUE), run, None)

    assert (met.judged_by, met.status) == ("server", "passed")
    assert missed.status == "missed"
    assert unknown.status == "skipped"


def test_what_only_the_rules_can_see_is_judged_from_what_they_recorded(truth: type) -> None:
    floor = {
        "name": "pace", "kind": "throughput", "floor": 100, "of": "output_tokens", "target": 90,
    }  # fmt: skip
    run = truth().run()

    (met,) = judge.objectives(slo(floor), run, None, {"pace": 0.93})
    (missed,) = judge.objectives(slo(floor), run, None, {"pace": 0.89})
    (idle,) = judge.objectives(slo(floor), run, None, {})

    assert [one.status for one in (met, missed, idle)] == ["passed", "missed", "skipped"]
    assert met.judged_by == "server"
    assert "at least 100 output tokens/s" in words.sentence(missed)


def test_a_handful_of_requests_judges_nothing(truth: type) -> None:
    few = judge.objectives(slo(TTFT), truth(ttfts=[0.1] * 9).run(), None)
    none = judge.objectives(slo(TTFT), truth(ttfts=[]).run(), None)

    assert few[0].status == none[0].status == "not_judged"
    assert "at least 10" in few[0].detail


def test_a_handful_of_requests_that_are_all_too_slow_are_a_miss(truth: type) -> None:
    (missed,) = judge.objectives(slo(TTFT), truth(ttfts=[4.0] * 4).run(), None)
    (chance,) = judge.objectives(slo(TTFT), truth(ttfts=[0.1] * 8 + [4.0]).run(), None)

    assert missed.status == "missed"
    assert chance.status == "not_judged"


def test_a_result_within_chance_says_so(truth: type) -> None:
    (met,) = judge.objectives(slo(TTFT), truth(ttfts=[0.1] * 20).run(), None)
    (missed,) = judge.objectives(slo(TTFT), truth(ttfts=[0.1] * 18 + [1.0] * 2).run(), None)

    assert met.status == "passed"
    assert "cannot show it for certain" in met.detail
    assert missed.status == "missed"
    assert "within chance" in missed.detail


@given(st.floats(0, 1))
def test_a_percentage_never_rounds_up_to_100(share: float) -> None:
    assert words.percent(share).startswith("100") == (share == 1)


def objective(status: Status = "passed", **changes: Any) -> Objective:
    return Objective.model_validate(
        {
            "name": "ttft", "kind": "latency", "metric": "ttft", "threshold": 0.5, "target": 0.95,
            "promise": "TTFT within 500ms", "judged_by": "client", "status": status,
            "attained": 0.612, "good": 147, "count": 240,
            **changes,
        }
    )  # fmt: skip


def check(name: str, status: str = "passed") -> Check:
    return Check.model_validate({"name": name, "status": status, "summary": "as it is"})


GOOD = (check("engine"), check("rules"))
CASES: list[tuple[dict[str, Any], str, int, str]] = [
    ({}, "passed", 0, "The objective is met, and 2 of 2 checks passed."),
    ({"judged": [objective("missed")]}, "missed", 1, "TTFT within 500ms for 61.2 % of 240"),
    ({"made": [*GOOD, check("x", "failed")]}, "failed", 1, "1 of 3 checks failed: x"),
    ({"made": [*GOOD, check("x", "skipped")]}, "passed", 0, "1 could not be made"),
    ({"judged": [objective("not_judged", attained=None, detail="none")]}, "not_judged", 3, "none"),
    ({"bottleneck": "its CPU"}, "not_judged", 3, "the load generator was the bottleneck"),
    ({"judged": [objective("missed")], "bottleneck": "it"}, "not_judged", 3, "bottleneck"),
    ({"impossible": "the engine cannot be reached"}, "not_judged", 3, "The engine cannot be"),
    ({"broken": "the engine stopped"}, "failed", 1, "The engine stopped."),
    ({"broken": "the engine stopped", "judged": [objective("missed")]}, "missed", 1, "The engine"),
    ({"interrupted": "3 s into the load"}, "not_judged", 130, "Interrupted 3 s into the load"),
]


@pytest.mark.parametrize(("given", "status", "code", "headline"), CASES)
def test_every_ending_has_its_status_exit_code_and_headline(
    given: dict[str, Any], status: str, code: int, headline: str
) -> None:
    judged, made = given.get("judged", [objective()]), given.get("made", GOOD)
    more = {key: value for key, value in given.items() if key not in ("judged", "made")}

    found = verdict(judged, made, **more)

    assert (found.status, found.exit_code) == (status, code)
    assert headline in found.headline
    assert found.partial == ("broken" in given or "interrupted" in given)


def test_every_miss_and_failure_is_a_reason() -> None:
    found = verdict([objective("missed"), objective("missed", name="b")], [check("x", "failed")])

    assert found.headline == "2 of 2 objectives missed: ttft, b."
    assert len(found.reasons) == 3
