"""What a check objects to, and how that is written: for people, as JSON, as JUnit."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from firsttoken.manifests.documents import Item
from firsttoken.manifests.schemas import Schemas
from firsttoken.manifests.workloads import PodView

__all__ = ["Finding", "Found", "World", "to_json", "to_junit", "to_text"]

Found = Iterator[tuple[Item, str]]
"""What a check yields: the object at fault, and a sentence."""


@dataclass(frozen=True, slots=True)
class World:
    """All that the checks see: objects, the pods of them, schemas, and Kubernetes releases."""

    items: tuple[Item, ...]
    pods: tuple[PodView, ...]
    schemas: Schemas
    releases: tuple[str, ...]

    def of_kind(self, *kinds: str) -> Iterator[Item]:
        """The objects of some kinds."""
        return (item for item in self.items if item.kind in kinds)


@dataclass(frozen=True, slots=True)
class Finding:
    """One objection of one check to one object."""

    check: str
    place: str
    subject: str
    message: str


def to_text(findings: Sequence[Finding], count: int) -> str:
    """A line for each finding, and how many there are."""
    lines = [f"{found.place}: {found.subject}: {found.message} [{found.check}]"
             for found in findings]  # fmt: skip
    total = f"{count} objects: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)}"
    return "\n".join([*lines, total]) + "\n"


def to_json(findings: Sequence[Finding], count: int) -> str:
    """An object with the findings, for programs."""
    listed = [
        {"check": f.check, "place": f.place, "object": f.subject, "message": f.message}
        for f in findings
    ]
    return json.dumps({"objects": count, "findings": listed}, indent=2, ensure_ascii=False) + "\n"


def to_junit(findings: Sequence[Finding], checks: Iterable[str]) -> str:
    """A test case for each check, as CI systems show it."""
    by_check: dict[str, list[Finding]] = {name: [] for name in checks}
    for found in findings:
        by_check[found.check].append(found)
    failed = sum(bool(entries) for entries in by_check.values())
    root = ElementTree.Element(
        "testsuite", name="firsttoken manifests check", tests=str(len(by_check)),
        failures=str(failed),
    )  # fmt: skip
    for name, entries in by_check.items():
        case = ElementTree.SubElement(root, "testcase", classname="manifests", name=name)
        if entries:
            node = ElementTree.SubElement(case, "failure", message=f"{len(entries)} findings")
            node.text = "\n".join(f"{f.place}: {f.subject}: {f.message}" for f in entries)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
