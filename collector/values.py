"""What a served line says: a number copied from a page, or one worked out from several."""

import math
from collections.abc import Sequence

from firsttoken.collector.numbers import scaled
from firsttoken.collector.translate import Member
from firsttoken.exporters.translation import combine

__all__ = ["is_copied", "number_text"]


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
