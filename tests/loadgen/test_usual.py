"""Of many parts at once, those are usual that are it one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.answer import _lines
from firsttoken.loadgen.usual import LONGEST, UsualParts, in_order

BUFFER = 1024
FIRST = 64  # where the first part lies
LONGEST_PART = 900


class Streams:
    """Streams whose parts are told apart by the definition: a line, what is before, and the end."""

    def __init__(self, befores: list[bytes], ends: list[bytes]) -> None:
        self.befores = befores
        self.ends = [end + b"\r\n" for end in ends]
        self.lines = [_lines(len(b) + len(e)) for b, e in zip(befores, ends, strict=True)]

    def part(self, stream: int, text: bytes) -> bytes:
        event = self.befores[stream] + text + self.ends[stream][:-2]
        return b"%x\r\n%b\r\n" % (len(event), event)

    def usual(self, stream: int, part: bytes) -> bool:
        line = self.lines[stream].get(len(part))
        begins = line is not None and part.startswith(line + self.befores[stream])
        return begins and part.endswith(self.ends[stream])

    def learnt(self, memory: bytearray) -> UsualParts:
        found = UsualParts(np.frombuffer(memory, np.uint8), LONGEST_PART)
        found.room_for(len(self.befores))
        for place, before in enumerate(self.befores):
            found.learn(place, self.lines[place], before, self.ends[place])
        return found


def lay(parts: list[bytes]) -> bytearray:
    memory = bytearray(FIRST + BUFFER * (len(parts) + 1))
    for number, part in enumerate(parts):
        memory[FIRST + BUFFER * number : FIRST + BUFFER * number + len(part)] = part
    return memory


def among(usual: UsualParts, places: list[int], parts: list[bytes]) -> list[bool]:
    starts = FIRST + BUFFER * np.arange(len(parts))
    lengths = np.array([len(part) for part in parts])
    found: list[bool] = usual.among(np.array(places), starts, lengths).tolist()
    return found


pieces = st.binary(max_size=40)
streams = st.lists(
    st.tuples(st.binary(min_size=4, max_size=60), pieces), min_size=1, max_size=5
).map(lambda pairs: Streams([one for one, _ in pairs], [other for _, other in pairs]))


@given(streams, st.data())
def test_the_same_are_usual_as_one_by_one(some: Streams, data: st.DataObject) -> None:
    places, parts = [], []
    for _ in range(data.draw(st.integers(1, 30))):
        place = data.draw(st.integers(0, len(some.befores) - 1))
        part = some.part(data.draw(st.integers(0, len(some.befores) - 1)), data.draw(pieces))
        match data.draw(st.sampled_from(["whole", "whole", "cut", "changed", "longer"])):
            case "cut":
                part = part[: data.draw(st.integers(0, len(part)))]
            case "changed":
                at = data.draw(st.integers(0, len(part) - 1))
                part = (
                    part[:at] + bytes([part[at] ^ data.draw(st.integers(1, 255))]) + part[at + 1 :]
                )
            case "longer":
                part += data.draw(pieces)
        places.append(place)
        parts.append(part)

    expected = [some.usual(place, part) for place, part in zip(places, parts, strict=True)]
    assert among(some.learnt(lay(parts)), places, parts) == expected


def test_nothing_is_usual_before_it_was_learnt_and_after_it_was_forgotten() -> None:
    some = Streams([b'data: {"id": "1", "text": "'], [b'"}\n\n'])
    part = some.part(0, b"word")
    usual = some.learnt(lay([part]))
    assert among(usual, [0], [part]) == [True]

    usual.forget(0)
    assert among(usual, [0], [part]) == [False]
    usual.room_for(2)
    assert among(usual, [1], [part]) == [False]


def test_what_is_too_long_to_compare_is_left_to_be_read_one_by_one() -> None:
    some = Streams([b"a" * (LONGEST + 1)], [b"end"])
    part = some.part(0, b"word")
    assert some.usual(0, part)
    assert among(some.learnt(lay([part])), [0], [part]) == [False]


def test_any_number_of_forms_may_be_learnt_one_after_another() -> None:
    for size in range(4, 200):
        some = Streams([b"b" * size], [b"end"])
        if size == 4:
            part = some.part(0, b"word")
            usual = some.learnt(lay([part]))
        usual.learn(0, some.lines[0], some.befores[0], some.ends[0])
    assert among(usual, [0], [part]) == [False]

    first = Streams([b"b" * 4], [b"end"])
    usual.learn(0, first.lines[0], first.befores[0], first.ends[0])
    assert among(usual, [0], [part]) == [True]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1))
def test_what_comes_after_an_unusual_part_of_its_stream_is_not_taken_as_usual(
    parts: list[tuple[int, bool]],
) -> None:
    places, usual = (np.array(column) for column in zip(*parts, strict=True))
    broken: set[int] = set()
    expected = []
    for place, good in parts:
        if not good:
            broken.add(place)
        expected.append(place not in broken)

    assert in_order(usual, places).tolist() == expected
