"""Which series of a page are served: those of this pod's GPUs, for one, of a whole node's."""

import re
from collections.abc import Callable, Iterable, Mapping

from firsttoken.collector.page import Layout, Shape
from firsttoken.collector.targets import Only
from firsttoken.errors import UsageError

__all__ = ["Selection", "selection"]

# How the exporters of GPUs name the pod that has one, and the GPU itself.
_PODS = ("pod", "exported_pod", "pod_name")
_NAMESPACES = ("namespace", "exported_namespace", "pod_namespace")
_UUIDS = ("UUID", "uuid", "gpu_uuid", "GPU_UUID")
_INDICES = ("gpu", "gpu_id", "GPU_ID", "index", "minor_number")
_VISIBLE = ("NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_NONE = frozenset(("", "none", "void", "nodevfiles"))
_SHORT = re.compile(r"GPU-[0-9a-fA-F]{16}")
_DIGITS = 12
"""Of AMD's two ways to write one GPU's UUID, as many digits at the end are the same."""

_Test = Callable[[Mapping[str, str]], bool]


class Selection:
    """A test of a series' labels."""

    def __init__(self, tests: Iterable[_Test]) -> None:
        self._tests = tuple(tests)

    def shape(self, shape: Shape) -> Shape:
        """The shape with the selected series only; families without any are gone."""
        if not self._tests:
            return shape
        found: dict[Layout, tuple[int, ...]] = {}
        layouts: dict[Layout, Layout] = {}
        families = []
        for family in shape.families:
            had = family.layout
            if had not in found:
                found[had] = kept = self._selected(had)
                layouts[had] = Layout(
                    tuple([had.roles[i] for i in kept]), tuple([had.labels[i] for i in kept])
                )
            places = [family.places[i] for i in found[had]]
            if places:
                families.append(family._replace(layout=layouts[had], places=places))
        return Shape(tuple(families), shape.size, shape.openmetrics)

    def _selected(self, layout: Layout) -> tuple[int, ...]:
        given = [dict(labels) for labels in layout.labels]
        return tuple([i for i, had in enumerate(given) if all(test(had) for test in self._tests)])


def selection(only: Only, environment: Mapping[str, str]) -> Selection:
    """The selection that the configuration asks for; raises UsageError."""
    tests: list[_Test] = []
    if only.pod is not None:
        tests.append(_of_pod(*_pod(only.pod, environment)))
    if only.gpus is not None:
        wanted = _visible(environment) if only.gpus == "visible" else only.gpus
        if wanted is not None:
            tests.append(_of_gpus(wanted))
    if only.labels:
        patterns = {label: re.compile(text) for label, text in only.labels.items()}
        tests.append(
            lambda labels: all(rx.fullmatch(labels.get(k, "")) for k, rx in patterns.items())
        )
    return Selection(tests)


def _pod(told: str, environment: Mapping[str, str]) -> tuple[str, str]:
    if told != "this":
        namespace, _, name = told.partition("/")
        return namespace, name
    missing = [name for name in ("POD_NAMESPACE", "POD_NAME") if not environment.get(name)]
    if missing:
        raise UsageError(f"only.pod: this: the environment has no {' and no '.join(missing)}")
    return environment["POD_NAMESPACE"], environment["POD_NAME"]


def _of_pod(namespace: str, name: str) -> _Test:
    def test(labels: Mapping[str, str]) -> bool:
        namespaces = [labels[label] for label in _NAMESPACES if label in labels]
        return any(labels.get(label) == name for label in _PODS) and (
            not namespaces or namespace in namespaces
        )

    return test


def _visible(environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """The GPUs that a container runtime gave to this container; None for all of them."""
    told = next((environment[name] for name in _VISIBLE if name in environment), None)
    if told is None:
        raise UsageError(f"only.gpus: visible: the environment has no {' and no '.join(_VISIBLE)}")
    if told.strip() == "all":
        return None
    return () if told.strip() in _NONE else tuple(part.strip() for part in told.split(","))


def _of_gpus(wanted: Iterable[str]) -> _Test:
    exact = frozenset(wanted)
    tails = frozenset(gpu[-_DIGITS:].lower() for gpu in exact if _SHORT.fullmatch(gpu))

    def test(labels: Mapping[str, str]) -> bool:
        uuids = [labels[label] for label in _UUIDS if labels.get(label)]
        indices = [labels[label] for label in _INDICES if labels.get(label)]
        return any(uuid in exact or uuid[-_DIGITS:].lower() in tails for uuid in uuids) or any(
            index in exact for index in indices
        )

    return test
