"""``python -m benchmarks.steps``: where the time of a known page goes, step by step."""

from collections.abc import Callable, Sequence
from operator import itemgetter

from benchmarks.collector import Merged, floor, least
from benchmarks.pages import PAGES
from firsttoken.collector.form import OPENMETRICS, TEXT
from firsttoken.collector.serving import settle

__all__ = ["main"]

_NUMERALS = b"0123456789.eE+-"


def main() -> None:
    """Print each step of reading and writing vLLM's page, in nanoseconds a sample."""
    settle()
    sources = PAGES["vLLM"]
    page, count = sources[0].versions[0], sources[0].samples
    everything = (
        *steps(page),
        ("all of it, as text", Merged(sources, TEXT).again),
        ("all of it, as OpenMetrics", Merged(sources, OPENMETRICS).again),
        ("floor: each byte looked at and copied once", floor(sources)),
    )
    for name, work in everything:
        print(f"{name:44} {least(work) * 1e9 / count:6.0f} ns")


def steps(page: bytes) -> Sequence[tuple[str, Callable[[], object]]]:
    """The steps by their names, each on what the one before gives."""
    lines = page.split(b"\n")
    cuts = [
        line.rfind(b" ") + 1 if line and not line.startswith(b"#") else len(line) for line in lines
    ]
    beginnings = [line[:cut] for line, cut in zip(lines, cuts, strict=True)]
    rest = list(map(bytes.removeprefix, lines, beginnings))
    samples = itemgetter(*(place for place, value in enumerate(rest) if value))
    values = samples(rest)
    template = [part for line in beginnings for part in (line, b"")]
    places = range(1, 2 * len(values), 2)

    def write() -> bytes:
        parts = list(template)
        parts[1 : places.stop : 2] = values
        return b"".join(parts)

    return (
        ("the page apart into lines", lambda: page.split(b"\n")),
        ("their known beginnings off", lambda: list(map(bytes.removeprefix, lines, beginnings))),
        ("the numbers picked out", lambda: samples(rest)),
        ("each number as a number", lambda: tuple(map(float, values))),
        ("nothing else in them", lambda: b"".join(values).translate(None, _NUMERALS)),
        ("the page put together", write),
    )


if __name__ == "__main__":
    main()
