"""Sessions of made-up requests: the same for a seed, distributed as asked."""

import itertools
from collections import Counter
from typing import Any

import pytest

from firsttoken.loadgen import kinds
from firsttoken.loadgen.distributions import Fixed, Uniform
from firsttoken.loadgen.plan import Session, Synthetic
from firsttoken.loadgen.synthetic import SyntheticWorkload


def workload(**settings: Any) -> SyntheticWorkload:
    kind = kinds.Synthetic.model_validate(settings)
    return SyntheticWorkload(kind, Uniform(low=10, high=99), Fixed(tokens=5))


def first(count: int, **settings: Any) -> list[Session]:
    return list(itertools.islice(workload(**settings).sessions(3), count))


def test_a_seed_is_a_plan() -> None:
    made = workload(conversation={"turns": {"kind": "uniform", "high": 4}, "think": "1s"})
    one, again, other = (list(itertools.islice(made.sessions(seed), 20)) for seed in (1, 1, 2))
    assert one == again != other


def test_where_the_kind_says_no_lengths_they_are_the_load_s() -> None:
    prompts = {session[0].prompt.tokens or 0 for session in first(500)}
    assert min(prompts) == 10
    assert max(prompts) == 99
    assert {session[0].output_tokens for session in first(5)} == {5}
    assert {s[0].prompt.tokens for s in first(5, prompt_tokens=7)} == {7}


def test_groups_are_as_popular_as_zipf_says() -> None:
    settings = {"prefix": {"tokens": 50, "groups": 4, "skew": 1}, "prompt_tokens": 80}
    groups: Counter[str] = Counter()
    for (planned,) in first(4000, **settings):
        assert isinstance(planned.prompt, Synthetic)
        assert planned.prompt.shared == 50
        groups[planned.prompt.group] += 1
    total = 1 + 1 / 2 + 1 / 3 + 1 / 4
    shares = [groups[f"synthetic:{number}"] / 4000 for number in range(4)]
    assert shares == pytest.approx([1 / n / total for n in (1, 2, 3, 4)], abs=0.03)


def test_models_are_asked_as_often_as_their_shares_say() -> None:
    models = Counter(s[0].model for s in first(3000, models={"base": 3, "adapter": 1}))
    assert models["base"] / 3000 == pytest.approx(0.75, abs=0.03)
    assert set(models) == {"base", "adapter"}
    assert workload(models={"base": 3, "adapter": 1}).models == {"base", "adapter"}


def test_a_conversation_has_its_turns_and_pauses() -> None:
    settings = {
        "conversation": {
            "turns": {"kind": "uniform", "low": 1, "high": 3},
            "think": {"kind": "exponential", "mean": "2s"},
            "message_tokens": 20,
        }
    }
    sessions = first(2000, **settings)
    counts = Counter(map(len, sessions))
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 550
    later = [turn for session in sessions for turn in session[1:]]
    assert {turn.prompt.tokens for turn in later} == {20}
    assert sum(turn.think for turn in later) / len(later) == pytest.approx(2, rel=0.1)
    assert len({session[0].session for session in sessions}) == 2000
    assert all(
        [turn.turn for turn in session] == list(range(len(session)))
        and len({turn.session for turn in session}) == 1
        for session in sessions
    )


def test_a_conversation_ends_before_it_outgrows_the_model() -> None:
    talk = {"turns": 50, "message_tokens": 20, "longest": 200}
    made = workload(conversation=talk, prompt_tokens=30)
    for session in itertools.islice(made.sessions(1), 5):
        total = sum((turn.prompt.tokens or 0) + (turn.output_tokens or 0) for turn in session)
        assert 175 < total <= 200
    assert made.longest == 200
    assert workload(prompt_tokens=30).longest == 35
    assert workload(prompt_tokens=30, conversation={"turns": 3}).longest == 3 * 35
