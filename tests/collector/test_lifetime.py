"""Restarts of a source are seen, and since when its counters count."""

from collections.abc import Sequence

from firsttoken.collector.lifetime import Lifetime
from firsttoken.collector.reader import Reader


def after(pages: Sequence[bytes]) -> Lifetime:
    times = iter((100.0, 200.0, 300.0))
    lifetime, reader = Lifetime(lambda: next(times)), Reader()
    for page in pages:
        lifetime.note(reader.read(page))
    return lifetime


def counter(value: int, more: bytes = b"") -> bytes:
    return b"# TYPE a_total counter\na_total %d\n" % value + more


def test_a_page_that_tells_the_start_of_its_process_is_believed() -> None:
    start = b"process_start_time_seconds %d\n"
    lifetime = after([start % 50, start % 50, counter(1) + start % 90])

    assert (lifetime.since, lifetime.restarts) == (90.0, 1)


def test_a_counter_that_falls_is_a_restart() -> None:
    lifetime = after([counter(5), counter(6), counter(2), counter(3)])

    assert (lifetime.since, lifetime.restarts) == (200.0, 1)


def test_a_restart_is_seen_where_the_page_has_other_series_than_before() -> None:
    lifetime = after([counter(5, b"up 1\n"), counter(0)])

    assert lifetime.restarts == 1


def test_a_gauge_that_falls_is_none() -> None:
    assert after([b"# TYPE a gauge\na 5\n", b"# TYPE a gauge\na 1\n"]).restarts == 0
