"""Words of made-up prompts: exact in number, and common to whom they should be."""

from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.plan import Blocks, Synthetic
from firsttoken.loadgen.words import Words

SIZE = 16


def blocks(path: list[int], rest: int) -> Blocks:
    return Blocks(SIZE * (len(path) - 1) + rest, tuple(path), SIZE)


# Paths in a tree of hashes: a hash stands for a block and all before it.
PATHS = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(
    lambda turns: [int("1" + "".join(map(str, turns[: end + 1]))) for end in range(len(turns))]
)


@given(PATHS, PATHS, st.integers(1, SIZE), st.integers(1, SIZE), st.integers(0, 40))
def test_prompts_share_just_what_their_hashes_share(
    one: list[int], other: list[int], rest: int, other_rest: int, overhead: int
) -> None:
    words = Words(200, overhead, "key")
    first, second = blocks(one, rest), blocks(other, other_rest)
    a, b = words.of(first, 1), words.of(second, 2)
    assert len(a) == max(1, first.tokens - overhead)
    assert len(b) == max(1, second.tokens - overhead)
    equal = sum(x == y for x, y in zip(one, other, strict=False))
    full = [
        len(one) if rest == SIZE else len(one) - 1,
        len(other) if other_rest == SIZE else len(other) - 1,
    ]
    shared = max(0, SIZE * min(equal, *full) - overhead)
    assert a[:shared] == b[:shared]
    if equal < min(*full):  # a block that both have whole, and that is not the same
        assert a[shared : shared + SIZE] != b[shared : shared + SIZE]


def test_a_process_of_its_own_writes_the_same_prompts() -> None:
    prompt = Synthetic(100, 40, "tenant:3")
    assert Words(200, 0, "key").of(prompt, 7) == Words(200, 0, "key").of(prompt, 7)
    assert Words(200, 0, "key").of(prompt, 7) != Words(200, 0, "other").of(prompt, 7)


def test_a_group_has_its_beginning_and_every_request_its_own_end() -> None:
    words = Words(200, 0, "key")
    one, other = words.of(Synthetic(64, 32, "a"), 1), words.of(Synthetic(64, 32, "a"), 2)
    third = words.of(Synthetic(64, 32, "b"), 3)
    assert one[:32] == other[:32] != third[:32]
    assert one[32:48] != other[32:48]
    assert len(one) == 64


def test_a_later_turn_makes_up_for_no_template() -> None:
    words = Words(200, 11, "key")
    assert len(words.of(Synthetic(50), 1)) == 39
    assert len(words.of(Synthetic(50), 1, first=False)) == 50
