"""ShareGPT's form: turns that can be asked again, out of what people have in such files."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.sharegpt import Conversation, Turn, conversations, objects

DATA = Path(__file__).parents[1] / "data" / "traces"


def test_turns_are_questions_with_their_answers() -> None:
    found = list(conversations(objects((DATA / "sharegpt.json").read_text())))
    assert found[0] == Conversation(
        "a1_0",
        None,
        (
            Turn(
                "Which metric says how long users wait for the first word?",
                "Time to first token, TTFT for short.",
            ),
            Turn("And between words?", "Inter-token latency."),
        ),
    )
    # An answer without its question, and a question without an answer, are left out.
    assert found[1] == Conversation(
        "b2_0", None, (Turn("Go on.", "As you wish: here is the rest."),)
    )
    assert found[2] is None
    assert found[3] is not None
    assert found[3].system == "Answer briefly."


def test_one_object_a_line_is_read_too_and_a_broken_line_is_named() -> None:
    item = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    text = f"{json.dumps(item)}\n\n{json.dumps(item)}\n"
    assert [c and c.turns for c in conversations(objects(text))] == [(Turn("a", "b"),)] * 2
    with pytest.raises(ValueError, match="line 2: not JSON"):
        list(objects(f"{json.dumps(item)}\n{{"))


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["conversations", "messages", "from", "value", "role", "content", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(ANYTHING, max_size=5))
def test_whatever_an_object_holds_it_is_a_conversation_or_none(items: list[Any]) -> None:
    found = list(conversations(items))
    assert len(found) == len(items)
    assert all(c is None or all(t.question and t.answer for t in c.turns) for c in found)


@given(st.lists(st.tuples(st.text("ab", min_size=1), st.text("cd", min_size=1)), min_size=1))
def test_every_turn_that_was_written_is_read_back(turns: list[tuple[str, str]]) -> None:
    messages = [
        {"from": who, "value": text}
        for question, answer in turns
        for who, text in (("human", question), ("gpt", answer))
    ]
    (found,) = conversations([{"id": 5, "conversations": messages}])
    assert found == Conversation("5", None, tuple(Turn(*turn) for turn in turns))
