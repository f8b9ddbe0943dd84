"""Who a request is: the id that its record, the server's log and its trace have in common."""

import hashlib
from typing import NamedTuple

__all__ = ["Identity", "identify"]


class Identity(NamedTuple):
    """A request's trace id (32 hexadecimal digits) and the headers that carry it."""

    trace_id: str
    headers: tuple[tuple[str, str], ...]


def identify(nonce: str, index: int) -> Identity:
    """The identity of request ``index`` of the run that ``nonce`` names; random to the eye.

    A function of its arguments alone, so that every process of a run agrees.
    """
    trace_id = hashlib.blake2b(f"{nonce}:{index}".encode(), digest_size=16).hexdigest()
    return Identity(trace_id, (("X-Request-Id", trace_id),))
