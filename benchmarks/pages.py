"""The pages that the collector is measured on, each in several versions with other numbers."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "Source", "gauges", "pages"]

DATA = Path(__file__).parents[1] / "tests" / "data"
VERSIONS = 4
GPUS = 8
_NUMBER = re.compile(rb"^([^#\n].* )([-+0-9.e]+)$", re.MULTILINE)
_GPU = re.compile(rb'^.*\{gpu="0".*$', re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """One source: its profile, and what it says at one time and another."""

    profile: str | None
    versions: tuple[bytes, ...]

    @property
    def samples(self) -> int:
        """How many samples its page has."""
        page = self.versions[0]
        return sum(bool(line) and not line.startswith(b"#") for line in page.splitlines())


def _source(page: bytes, profile: str | None = None) -> Source:
    """All numbers change from one version to the next, as they do under load."""

    def times(factor: int) -> bytes:
        def other(match: re.Match[bytes]) -> bytes:
            head, text = match.groups()
            number = float(text) * factor
            # Counts stay whole numbers, and are written as before.
            return head + (b"%d" % number if text.isdigit() else repr(number).encode())

        return _NUMBER.sub(other, page)

    return Source(profile, tuple(times(factor) for factor in range(1, VERSIONS + 1)))


def _eight_gpus() -> bytes:
    """The exporter's page with the first GPU's lines eight times."""

    def all_of_them(match: re.Match[bytes]) -> bytes:
        line = match[0]
        return b"\n".join(
            line.replace(b'gpu="0"', b'gpu="%d"' % gpu)
            .replace(b"nvidia0", b"nvidia%d" % gpu)
            .replace(b"-000000000000", b"-00000000000%d" % gpu)
            for gpu in range(GPUS)
        )

    page = (DATA / "pages" / "dcgm-4.5.txt").read_bytes()
    others = re.sub(rb'^.*\{gpu="1".*\n', b"", page, flags=re.MULTILINE)
    return _GPU.sub(all_of_them, others)


def gauges(samples: int, *, per_family: int = 100, mark: str = "") -> bytes:
    """A page of about 100 bytes a sample; ``mark`` is in every series."""
    lines = []
    for place in range(samples):
        family, row = divmod(place, per_family)
        if not row:
            lines.append(
                f"# HELP jobs_{family}_seconds Time.\n# TYPE jobs_{family}_seconds gauge\n"
            )
        lines.append(
            f'jobs_{family}_seconds{{pod="chat-{mark}{row:06}",namespace="inference",'
            f'container="main",code="{place % 7}"}} {place * 1.25}\n'
        )
    return "".join(lines).encode()


def pages() -> dict[str, tuple[Source, ...]]:
    """The pages by their names."""
    vllm = _source((DATA / "vllm-0.32.0.prom").read_bytes(), "vllm")
    return {
        "vLLM": (vllm,),
        "vLLM + 8 GPUs": (vllm, _source(_eight_gpus(), "dcgm")),
        "200 KB": (_source(gauges(2_000)),),
        "5 MB": (_source(gauges(50_000)),),
    }


PAGES = pages()
