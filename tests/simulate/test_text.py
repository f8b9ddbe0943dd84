"""The tokenizer gives back what it was given, and answers keep to what was asked for."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from firsttoken.simulate.answers import Answer, Wish, Writer
from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.tokenizer import BOS, EOS, SIZE, Tokenizer

tokenizer = Tokenizer()
wishes = st.builds(
    Wish,
    max_tokens=st.integers(50, 400),
    min_tokens=st.integers(0, 50),
    ignore_eos=st.booleans(),
    seed=st.integers(0, 100),
)


@given(st.text())
def test_text_comes_back_whole(text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids[0] == BOS
    assert all(0 <= token < SIZE for token in ids)
    assert tokenizer.decode(ids) == text


@given(st.text(alphabet="abc ,.\n", max_size=30), st.text(alphabet="xyz ,.\n", max_size=30))
def test_a_prompt_that_begins_alike_has_tokens_that_begin_alike(start: str, rest: str) -> None:
    whole = tokenizer.encode(f"{start}.\n\nQ{rest}")
    assert whole[: len(tokenizer.encode(start)) - 1] == tokenizer.encode(start)[:-1]


def test_common_english_comes_to_two_to_three_characters_a_token_or_more() -> None:
    text = "Explain how a server answers many requests at once without making anybody wait long."
    assert 2 < len(text) / len(tokenizer.encode(text)) < 6


writer = Writer(Parameters(), seed=1)


def draw(wish: Wish) -> Answer:
    return writer.draw(wish)


@given(wishes)
def test_length_and_reason_fit_the_wish(wish: Wish) -> None:
    answer = draw(wish)
    assert len(answer.tokens) == len(answer.texts) <= wish.max_tokens
    assert len(answer.tokens) >= wish.min_tokens
    if answer.finish_reason == "length":
        assert len(answer.tokens) == wish.max_tokens
        assert EOS not in answer.tokens
    else:
        assert not wish.ignore_eos
        assert answer.tokens.count(EOS) == 1
        assert answer.tokens[-1] == EOS
        assert answer.texts[-1] == ""
    assert tokenizer.decode(answer.tokens) == "".join(answer.texts)
    assert draw(wish) == answer


@given(wishes, st.integers(0, 40))
def test_an_answer_ends_where_a_stop_string_would_begin(wish: Wish, position: int) -> None:
    wish = dataclasses.replace(wish, min_tokens=0)
    text = "".join(draw(wish).texts)
    words = text.split()
    if not words:
        return
    stop = words[min(position, len(words) - 1)]
    cut = draw(dataclasses.replace(wish, stop=(stop,)))
    assert "".join(cut.texts) == text.split(stop)[0]
    assert (cut.finish_reason, cut.stop_reason) == ("stop", stop)


def test_a_stop_string_among_the_least_tokens_is_let_through() -> None:
    wish = Wish(50, ignore_eos=True, seed=1)
    text = "".join(draw(wish).texts)
    stop = text.split()[3]
    cut = draw(dataclasses.replace(wish, min_tokens=50, stop=(stop,)))
    assert len(cut.tokens) == 50


def test_two_writers_with_one_seed_draw_the_same_answers() -> None:
    one, two, other = (Writer(Parameters(), seed=seed) for seed in (1, 1, 2))
    wish = Wish(100)
    first = [one.draw(wish) for _ in range(5)]
    assert first == [two.draw(wish) for _ in range(5)]
    assert first != [other.draw(wish) for _ in range(5)]
    assert len({answer.texts for answer in first}) == 5
