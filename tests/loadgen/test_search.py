"""The search as a function of its steps: what it tries next, and what it has found."""

import math
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsttoken.loadgen.search import Aim, Tried, ends, next_plan, outcome

AIM = Aim(start=1.0, lowest=0.01, highest=10_000.0)


def walk(capacity: float, aim: Aim, *, saturates_at: float) -> list[Tried]:
    """A search against a server that is known for certain, save close to its capacity."""
    steps: list[Tried] = []
    while (plan := next_plan(steps, aim)) is not None:
        near = abs(plan.rate / capacity - 1) < 0.01
        likely: Literal["holds", "fails"] = "holds" if plan.rate <= capacity else "fails"
        steps.append(
            Tried(
                plan.rate,
                likely if plan.fine and not near else "undecided",
                likely,
                plan.fine,
                served=min(plan.rate, saturates_at),
                serial=0.5,
            )
        )
    return steps


DECADES = st.floats(math.log(0.02), math.log(4000)).map(math.exp)


@settings(derandomize=True, max_examples=400)
@given(DECADES, st.floats(math.log(0.01), math.log(10_000)).map(math.exp),
       st.sampled_from([1.0, 1.3, 8.0]))  # fmt: skip
def test_any_capacity_is_found_from_any_start_in_twelve_steps(
    capacity: float, start: float, room: float
) -> None:
    """Whether the server is full there, or the objective is missed long before it is; and whatever
    a step that is too close to the capacity to be decided does to it."""
    aim = Aim(start=start, lowest=0.01, highest=10_000.0)
    steps = walk(capacity, aim, saturates_at=capacity * room)

    found = outcome(steps, aim)
    assert len(steps) <= 12
    assert found.precise, steps
    assert found.low is not None
    assert found.high is not None
    assert found.low <= capacity <= found.high
    assert found.estimate == pytest.approx(capacity, rel=0.05)


def test_an_imprecise_result_is_where_the_undecided_steps_point() -> None:
    """10 holds and 20 fails for certain; between them, 15 looks good, and 16 and 14 do not."""
    steps = [Tried(10, "holds"), Tried(20, "fails")]
    assert outcome(steps, AIM).estimate == pytest.approx(math.sqrt(200))

    steps += [Tried(15, "undecided", "holds"), Tried(16, "undecided", "fails")]
    found = outcome(steps, AIM)
    assert found[:2] == (10, 20)
    assert found.estimate == pytest.approx(math.sqrt(15 * 16))
    assert not found.precise

    # What contradicts itself is near the capacity, and a short step says nothing.
    steps += [Tried(14, "undecided", "fails"), Tried(19, "undecided", "holds", fine=False)]
    assert outcome(steps, AIM).estimate == pytest.approx(math.sqrt(10 * 16))


def test_what_a_server_served_at_most_is_tried_once() -> None:
    """It takes twice the capacity before tokens are too slow, and 2 % more came than planned."""
    steps = [Tried(17.0, "holds", fine=False), Tried(280.0, "fails", "fails", False, served=85.0)]
    plan = next_plan(steps, AIM)
    assert plan is not None
    assert plan.rate == pytest.approx(85 / 1.03)

    steps.append(Tried(1.02 * plan.rate, "fails", "fails"))
    plan = next_plan(steps, AIM)
    assert plan is not None
    assert 17 < plan.rate < 60


def test_a_short_step_at_the_capacity_itself_does_not_mislead() -> None:
    """It points to one side, and no step beside it is decided; the search goes around it."""
    for start in (1.0, 1.003, 0.997):
        aim = Aim(start=start, lowest=0.01, highest=10_000.0)
        steps = walk(1.0, aim, saturates_at=8.0)

        assert outcome(steps, aim).precise
        assert len(steps) <= 9


def test_a_step_that_stays_open_costs_one_more_where_the_bracket_is_nearly_closed() -> None:
    """It is taken so far off the middle that one more beside it ends the search all the same."""
    steps = [Tried(92.0, "holds"), Tried(108.0, "fails")]
    first = next_plan(steps, AIM)
    assert first is not None
    second = next_plan([*steps, Tried(first.rate, "undecided")], AIM)

    assert second is not None
    assert second.rate > first.rate
    assert second.rate / 92.0 <= AIM.ratio


@given(st.lists(st.sampled_from(["holds", "fails", "undecided", "not judged"]), max_size=12))
def test_no_sequence_of_verdicts_leads_it_astray(verdicts: list[str]) -> None:
    """It always ends, stays within its bounds, and never asks for a rate of zero."""
    steps: list[Tried] = []
    for verdict in verdicts:
        plan = next_plan(steps, AIM)
        if plan is None:
            break
        assert AIM.lowest <= plan.rate <= AIM.highest
        steps.append(Tried(plan.rate, verdict, "holds", plan.fine, plan.rate, 1.0))  # type: ignore[arg-type]
    low, high = ends(steps)
    assert low is None or high is None or low < high


def test_what_is_done_next_follows_from_the_steps_alone() -> None:
    """A search that was broken off goes on as if it had not been."""
    whole = walk(37.0, AIM, saturates_at=40.0)

    for done in range(len(whole)):
        plan = next_plan(whole[:done], AIM)
        assert plan is not None
        assert plan.rate == whole[done].rate


def test_steps_that_contradict_each_other_are_no_ends() -> None:
    steps = [Tried(10, "holds"), Tried(20, "fails"), Tried(22, "holds"), Tried(30, "fails")]

    assert ends(steps) == (10, 30)


def test_an_overloaded_server_tells_where_to_look() -> None:
    """What it completed is close to the most it can, so that the next step is just below."""
    steps = [Tried(8.0, "holds"), Tried(128.0, "fails", served=20.0)]

    plan = next_plan(steps, AIM)
    assert plan is not None
    assert plan.fine
    assert 19.0 < plan.rate < 20.0


def test_the_generator_at_its_limit_is_a_ceiling_but_no_failure() -> None:
    """It is tried once more, for its machine may have been busy; then the search is below it."""
    once = [Tried(8.0, "holds"), Tried(64.0, "not judged")]
    again, steps = next_plan(once, AIM), [*once, Tried(64.0, "not judged")]
    plan = next_plan(steps, AIM)

    assert again is not None
    assert again.rate == 64.0
    assert plan is not None
    assert 8.0 < plan.rate < 64.0
    assert outcome(steps, AIM).high is None


def test_nothing_holds_ends_at_the_lowest_rate() -> None:
    steps: list[Tried] = []
    while (plan := next_plan(steps, AIM)) is not None:
        steps.append(Tried(plan.rate, "fails", "fails", plan.fine))

    assert steps[-1].rate == AIM.lowest
    assert outcome(steps, AIM).low is None


def test_all_holds_ends_at_the_highest_rate() -> None:
    steps: list[Tried] = []
    while (plan := next_plan(steps, AIM)) is not None:
        steps.append(Tried(plan.rate, "holds", "holds", plan.fine))

    assert steps[-1].rate == AIM.highest
    assert outcome(steps, AIM)[:2] == (AIM.highest, None)
