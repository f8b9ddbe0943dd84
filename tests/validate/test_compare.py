"""Client against server: what agrees, what is explained, what is flagged."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from firsttoken.catalogue import REQUEST_DURATION, TIME_TO_FIRST_TOKEN
from firsttoken.report.schema import Comparison
from firsttoken.validate.compare import Evidence, compare
from firsttoken.validate.page import Page, Window

Made = Callable[..., Window]


def rows(found: tuple[Comparison, ...]) -> dict[str, Comparison]:
    return {row.name: row for row in found}


def test_sides_that_saw_the_same_agree_in_everything(truth: type, window: Made) -> None:
    run = truth().run()

    found = compare(run, window(run), Evidence())

    assert {row.status for row in found} == {"agrees"}
    assert rows(found)["requests"].client == rows(found)["requests"].server == 100
    assert rows(found)["input tokens"].client == 5000
    assert rows(found)["output tokens"].client == 1100
    assert {row.name for row in found} >= {"mean TTFT", "mean TPOT", "mean E2E", "p95 TTFT"}


def test_one_request_more_on_the_server_is_flagged(truth: type, window: Made) -> None:
    run = truth().run()

    found = rows(compare(run, window(run, more={"length": 1}), Evidence()))

    assert found["requests"].status == "mismatch"
    assert "Something else uses this engine" in found["requests"].explanation


def test_one_request_fewer_on_the_server_is_flagged(truth: type, window: Made) -> None:
    run = truth().run()

    found = rows(compare(run, window(run, more={"length": -1}), Evidence()))

    assert found["requests"].status == "mismatch"
    assert "more than one engine" in found["requests"].explanation


def test_one_token_off_is_flagged(truth: type, window: Made) -> None:
    run = truth().run()

    found = rows(compare(run, window(run, more={"output": 1}), Evidence()))

    assert found["output tokens"].status == "mismatch"
    assert found["input tokens"].status == "agrees"


def test_work_on_requests_that_failed_explains_more_on_the_server(
    truth: type, window: Made
) -> None:
    run = truth(failed=3).run()

    found = rows(compare(run, window(run, more={"input": 150, "output": 7}), Evidence()))

    assert found["input tokens"].status == found["output tokens"].status == "explained"
    assert "3 requests failed" in found["input tokens"].explanation


def test_requests_that_the_server_aborted_are_not_answers(truth: type, window: Made) -> None:
    run = truth().run()

    found = rows(compare(run, window(run, more={"abort": 9}), Evidence()))

    assert found["requests"].status == "agrees"


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (0.1, "agrees"),
        (0.0906, "agrees"),
        (0.0902, "mismatch"),
        (0.11, "agrees"),
        (0.2, "mismatch"),
    ],
)
def test_a_mean_may_differ_by_5_percent_and_5_ms(
    truth: type, window: Made, server: float, status: str
) -> None:
    run = truth().run()
    seen = {TIME_TO_FIRST_TOKEN: [server] * 100}

    found = rows(compare(run, window(run, latencies=seen), Evidence()))

    assert found["mean TTFT"].status == status


def test_what_was_measured_apart_explains_a_longer_wait_and_no_more(
    truth: type, window: Made
) -> None:
    run = truth().run()  # 100 ms; the server says 70 ms, tolerance 8.5 ms
    pages = window(run, latencies={TIME_TO_FIRST_TOKEN: [0.07] * 100})

    enough = rows(compare(run, pages, Evidence(round_trip=0.012, lateness=0.010)))["mean TTFT"]
    little = rows(compare(run, pages, Evidence(round_trip=0.012, lateness=0.005)))["mean TTFT"]

    assert (enough.status, little.status) == ("explained", "mismatch")
    assert "12.0 ms" in enough.explanation
    assert "10.0 ms late" in enough.explanation
    assert "proxy or gateway" in little.explanation


def test_a_client_that_waits_less_than_the_server_says_is_a_mismatch(
    truth: type, window: Made
) -> None:
    run = truth().run()
    pages = window(run, latencies={REQUEST_DURATION: [0.9] * 100})

    found = rows(compare(run, pages, Evidence(1.0, 1.0)))["mean E2E"]

    assert found.status == "mismatch"
    assert "another engine" in found.explanation


def test_means_over_different_requests_are_explained_as_such(truth: type, window: Made) -> None:
    run = truth(failed=5).run()
    pages = window(run, latencies={TIME_TO_FIRST_TOKEN: [0.1] * 95 + [9.0] * 5})

    found = rows(compare(run, pages, Evidence()))["mean TTFT"]

    assert found.status == "explained"
    assert "the server counted 100, the client 95" in found.explanation


def test_a_quantile_outside_the_bucket_is_no_mismatch_by_itself(truth: type, window: Made) -> None:
    run = truth(ttfts=[0.1] * 94 + [2.0] * 6).run()
    pages = window(run, latencies={TIME_TO_FIRST_TOKEN: [0.1] * 99 + [2.0]})

    found = rows(compare(run, pages, Evidence()))

    assert found["p95 TTFT"].status == "explained"
    assert found["p50 TTFT"].status == "agrees"


def test_a_server_that_reports_nothing_is_not_compared(truth: type) -> None:
    run = truth().run()

    found = compare(run, Window(Page(), Page(), "llama"), Evidence())

    assert {row.status for row in found} == {"not_compared"}


def test_answers_without_usage_are_not_compared_in_tokens(truth: type, window: Made) -> None:
    run = truth().run()
    bare: Any = dataclasses.replace(run.records[0], output_tokens=None, output_source=None)
    without = dataclasses.replace(run, records=(bare, *run.records[1:]))

    found = rows(compare(without, window(run), Evidence()))

    assert found["output tokens"].status == "not_compared"


def test_answers_of_one_token_have_a_tpot_of_0_on_both_sides(truth: type, window: Made) -> None:
    run = truth(output=1).run()

    found = rows(compare(run, window(run), Evidence()))

    assert found["mean TPOT"].client == found["mean TPOT"].server == 0
