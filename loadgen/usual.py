"""Recognises usual parts, hundreds at a time, where they lie.

One by one, most of the time goes into fetching what each stream has of its own into the processor's
caches; compared all together, a property at a time, they take a third of it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

__all__ = ["LONGEST", "UsualParts", "in_order"]

LONGEST = 512
"""What stands before the text of an event may be so long, and what stands behind it."""
_FORMS_MOST = 64
_LINE = 8  # bytes of a size line, at most
_UNKNOWN = -1

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]


class _Form(NamedTuple):
    """What streams have in common: how long ``before`` and ``end`` are, see ``Flow``.

    By the length of a part: how long its size line is (0 where no usual part is so long), and the
    line as a number, with what to compare of the eight bytes that end with it.
    """

    before: int
    end: int
    digits: Numbers
    lines: NDArray[np.uint64]
    masks: NDArray[np.uint64]


class UsualParts:
    """How usual parts look, place by place (each stream has one), and which of many are usual.

    ``memory`` is where parts lie, none longer than ``longest``: with ``_LINE`` bytes before the
    first, and twice ``longest`` behind the beginning of the last.
    """

    def __init__(self, memory: Bytes, longest: int) -> None:
        self._memory, self._longest = memory, longest
        self._windows: dict[int, Bytes] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._forms: list[_Form] = []
        self._form = np.full(0, _UNKNOWN, np.int64)
        self._before = np.zeros((0, LONGEST), np.uint8)
        self._end = self._before

    def room_for(self, places: int) -> None:
        """Have at least so many places."""
        more = places - len(self._form)
        self._form = np.append(self._form, np.full(more, _UNKNOWN, np.int64))
        unknown = np.zeros((more, LONGEST), np.uint8)
        self._before = np.append(self._before, unknown, 0)
        self._end = np.append(self._end, unknown, 0)

    def learn(self, place: int, lines: Mapping[int, bytes], before: bytes, end: bytes) -> None:
        """Usual parts of a place look so from now on."""
        if max(len(before), len(end)) > LONGEST:
            return
        number = self._numbers.get((len(before), len(end)))
        if number is None:
            number = self._add(lines, len(before), len(end))
        self._before[place, : len(before)] = np.frombuffer(before, np.uint8)
        self._end[place, : len(end)] = np.frombuffer(end, np.uint8)
        self._form[place] = number

    def forget(self, place: int) -> None:
        """No part of a place is usual until more is known."""
        self._form[place] = _UNKNOWN

    def among(self, places: Numbers, starts: Numbers, lengths: Numbers) -> NDArray[np.bool_]:
        """Which of these parts are usual."""
        forms = self._form.take(places)
        found = np.zeros(len(places), np.bool_)
        for number, form in enumerate(self._forms):
            mine = forms == number
            if mine.all():
                return self._alike(form, places, starts, lengths)
            chosen = np.flatnonzero(mine)
            if len(chosen):
                found[chosen] = self._alike(
                    form, places.take(chosen), starts.take(chosen), lengths.take(chosen)
                )
        return found

    def _alike(
        self, form: _Form, places: Numbers, starts: Numbers, lengths: Numbers
    ) -> NDArray[np.bool_]:
        digits = form.digits.take(lengths)
        begin = self._window(_LINE + form.before)[starts + digits - _LINE]
        end = self._window(form.end)[starts + lengths - form.end]
        lines = np.ascontiguousarray(begin[:, :_LINE]).view(np.uint64)[:, 0]
        lines &= form.masks.take(lengths)
        same: NDArray[np.bool_] = (begin[:, _LINE:] == self._before[places, : form.before]).all(1)
        same &= (end == self._end[places, : form.end]).all(1)
        same &= lines == form.lines.take(lengths)
        same &= digits > 0
        return same

    def _window(self, width: int) -> Bytes:
        """What lies from each byte of the memory on."""
        found = self._windows.get(width)
        if found is None:
            found = as_strided(self._memory, (len(self._memory) - width + 1, width), (1, 1))
            self._windows[width] = found
        return found

    def _add(self, lines: Mapping[int, bytes], before: int, end: int) -> int:
        if len(self._forms) == _FORMS_MOST:
            self._forms.clear()
            self._numbers.clear()
            self._form.fill(_UNKNOWN)
        digits = np.zeros(self._longest + 1, np.int64)
        text = np.zeros((2, self._longest + 1, _LINE), np.uint8)
        for length, line in lines.items():
            if length <= self._longest:
                digits[length] = len(line)
                text[0, length, -len(line) :] = np.frombuffer(line, np.uint8)
                text[1, length, -len(line) :] = 255
        numbers = text.view(np.uint64)[:, :, 0]
        self._forms.append(_Form(before, end, digits, *numbers))
        self._numbers[before, end] = len(self._forms) - 1
        return len(self._forms) - 1


def in_order(usual: NDArray[np.bool_], places: Numbers) -> NDArray[np.bool_]:
    """Those that come before any unusual part of their place: what follows one depends on it."""
    others = np.flatnonzero(~usual)[::-1]
    first = np.full(places.max() + 1, len(places))
    first[places[others]] = others
    return np.arange(len(places)) < first.take(places)
