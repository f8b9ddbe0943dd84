"""Exact arithmetic on the text of numbers, and the spellings that OpenMetrics asks for."""

from decimal import Decimal, InvalidOperation, localcontext
from functools import lru_cache

__all__ = ["canonical", "milliseconds", "scaled", "seconds"]

_DIGITS = 60
"""Enough for a product of two numbers of 17 digits to be exact."""


@lru_cache(maxsize=8192)
def scaled(text: bytes, scale: Decimal) -> bytes:
    """A number's text times ``scale``, exactly; NaN and infinities stay what they are."""
    try:
        number = Decimal(text.decode())
    except InvalidOperation:
        return text
    if not number.is_finite():
        return text
    with localcontext() as context:
        context.prec = _DIGITS
        return _plain(number * scale).encode()


def _plain(number: Decimal) -> str:
    """The shortest text of a finite number, without an exponent unless that is far shorter."""
    short = number.normalize()
    return format(short, "f" if abs(short.adjusted()) < 20 else "e")


@lru_cache(maxsize=4096)
def canonical(bound: str) -> str:
    """A bucket's bound or a quantile as OpenMetrics spells it: ``1`` is ``1.0``, ``Inf`` ``+Inf``.

    Text that is no number comes back as it is.  Source: OpenMetrics 1.0, "Canonical Numbers".
    """
    try:
        number = float(bound)
    except ValueError:
        return bound
    if number in (float("inf"), float("-inf")) or number != number:
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(number), "NaN")
    text = repr(number)
    mantissa, _, exponent = text.partition("e")
    if exponent:
        sign = "-" if exponent.startswith("-") else "+"
        digits = exponent.lstrip("+-")
        return f"{mantissa}e{sign}{digits:0>2}"
    whole, _, fraction = text.partition(".")
    digits = whole.lstrip("-")
    if len(digits) <= 6:
        return text
    # From 10^6 the canonical form has an exponent, as Go prints it.
    significant = (digits + ("" if fraction == "0" else fraction)).rstrip("0") or "0"
    point = f".{significant[1:]}" if len(significant) > 1 else ""
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{significant[0]}{point}e+{len(digits) - 1:02}"


def seconds(milliseconds_text: bytes) -> bytes:
    """A timestamp of the text format as one of OpenMetrics."""
    return scaled(milliseconds_text, Decimal("0.001"))


def milliseconds(seconds_text: bytes) -> bytes:
    """A timestamp of OpenMetrics as one of the text format, to the millisecond."""
    try:
        return str(int((Decimal(seconds_text.decode()) * 1000).to_integral_value())).encode()
    except (InvalidOperation, ValueError, OverflowError):
        return b""
