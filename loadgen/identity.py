"""Who a request is: the id that its record, the server's log and its trace have in common."""

import hashlib
from typing import NamedTuple

__all__ = ["Identity", "identify", "span_id"]


class Identity(NamedTuple):
    """A request's trace id (32 hexadecimal digits) and the headers that carry it."""

    trace_id: str
    headers: tuple[tuple[str, str], ...]


def identify(nonce: str, index: int, *, tracing: bool = False) -> Identity:
    """The identity of request ``index`` of the run that ``nonce`` names; random to the eye.

    A function of its arguments alone, so that every process of a run agrees.  ``tracing`` adds a
    W3C ``traceparent``, sampled: which spans are worth keeping is known only when a run has ended.
    """
    trace_id = hashlib.blake2b(f"{nonce}:{index}".encode(), digest_size=16).hexdigest()
    headers: tuple[tuple[str, str], ...] = (("X-Request-Id", trace_id),)
    if tracing:
        headers = (*headers, ("traceparent", f"00-{trace_id}-{span_id(trace_id)}-01"))
    return Identity(trace_id, headers)


def span_id(trace_id: str) -> str:
    """The id of a request's own span, so that it need not be kept: half of its trace id."""
    return trace_id[:16]
