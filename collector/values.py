"""What a served line says: a number copied from a page, or one worked out from several."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from firsttoken.collector.numbers import scaled
from firsttoken.collector.translate import Member
from firsttoken.exporters.translation import combine

__all__ = ["Converter", "is_copied", "number_text"]

_REMEMBERED = 4096


class Converter(dict[bytes, bytes | None]):
    """A page's number text -> the text that is served, or None where it says nothing.

    Numbers come again: a dictionary that fills itself, and begins anew when it is large.
    """

    class Key(NamedTuple):
        """What is done to a number."""

        scale: Decimal | None
        minimum: float
        below: float

    @classmethod
    def key(cls, member: Member) -> Key:
        """What is done to the number of a line that is made from one other."""
        translation = member.translation
        if translation is None:
            return cls.Key(member.scale, -math.inf, math.inf)
        return cls.Key(member.scale, translation.minimum, translation.below)

    def __init__(self, key: Key) -> None:
        super().__init__()
        self._key = key

    def __missing__(self, text: bytes) -> bytes | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        scale, minimum, below = self._key
        number = float(text)
        found: bytes | None = text
        # NaN is not "not measured": whoever sent it meant it.
        bounded = minimum > -math.inf or below < math.inf
        if bounded and not (minimum <= number < below or math.isnan(number)):
            found = None
        elif scale is not None:
            found = scaled(text, scale)
        self[text] = found
        return found


def is_copied(member: Member) -> bool:
    """Whether the line's number is that of the page, whatever it is."""
    sentinels = member.translation is not None and member.translation.has_sentinels
    return member.scale is None and len(member.places) == 1 and not sentinels


def number_text(member: Member, values: Sequence[bytes], numbers: Sequence[float]) -> bytes | None:
    """The number of a line that is not copied, or None if there is nothing to say."""
    translation = member.translation
    places = member.places
    if translation is not None and translation.has_sentinels:
        places = tuple(place for place in places if not translation.drops(numbers[place]))
    if not places:
        return None
    text = values[places[0]]
    if len(places) > 1 and translation is not None:
        one = combine(translation.merge, [numbers[place] for place in places])
        if one is None:
            return None
        same = (values[place] for place in places if numbers[place] == one)
        text = next(same, _text(one))
    return text if member.scale is None else scaled(text, member.scale)


def _text(number: float) -> bytes:
    if math.isfinite(number):
        return repr(number).encode()
    return b"NaN" if math.isnan(number) else b"+Inf" if number > 0 else b"-Inf"
