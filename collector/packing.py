"""Packing pages: ISA-L where it is installed, which takes a sixth of the time of zlib."""

import gzip

__all__ = ["packed"]

try:
    from isal import isal_zlib
except ImportError:  # on machines that it does not know
    isal_zlib = None  # type: ignore[assignment]

_GZIP_FORM = 31
"""zlib's ``wbits`` for a gzip header around it."""


def packed(body: bytes) -> bytes:
    """The page as gzip, at the fastest level: a page of metrics packs tenfold at any."""
    if isal_zlib is None:
        return gzip.compress(body, compresslevel=1, mtime=0)
    return isal_zlib.compress(body, level=1, wbits=_GZIP_FORM)
