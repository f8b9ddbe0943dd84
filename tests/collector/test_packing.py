"""Packed pages, by whichever library is there."""

import gzip

import pytest

from firsttoken.collector import packing

PAGE = b"".join(b'a{row="%d"} %d\n' % (row, row * row) for row in range(5000))


@pytest.mark.parametrize("library", [vars(packing)["isal_zlib"], None])
def test_a_packed_page_is_the_page(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "isal_zlib", library)

    assert gzip.decompress(packing.packed(PAGE)) == PAGE
    assert packing.packed(PAGE) == packing.packed(PAGE)
    assert len(packing.packed(PAGE)) < len(PAGE) / 3
