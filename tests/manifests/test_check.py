"""``manifests check`` finds each planted mistake, and nothing where there is nothing to find."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from firsttoken.cli import main
from firsttoken.errors import ConfigError
from firsttoken.manifests import checks
from firsttoken.manifests.bundle import Bundle
from firsttoken.manifests.documents import Item, items_of, read
from firsttoken.manifests.schemas import Schemas

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "manifests"
CRDS = ROOT / "tests" / "data" / "schemas"
SLO = yaml.safe_load((ROOT / "examples" / "slo.yaml").read_text())
GOOD = sorted((DATA / "good").glob("*.yaml"))
BAD = sorted((DATA / "bad").glob("*.yaml"))
PLATFORMS = (
    "deployment", "kserve-standard", "kserve-knative", "llm-inference-service", "ray-service"
)  # fmt: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas.read(CRDS)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``firsttoken manifests check`` in this process: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["manifests", "check", *map(str, arguments)])
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, captured.out, captured.err

    return call


def messages(items: list[Item], schemas: Schemas) -> list[str]:
    found = checks.run(items, schemas, releases=("1.32",))
    return [f"{finding.check}: {finding.message}" for finding in found]


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_planted_mistake_is_found_and_nothing_else(file: Path, schemas: Schemas) -> None:
    expected, _, text = file.read_text().splitlines()[0].removeprefix("# ").partition(": ")
    found = checks.run(read([file]), schemas, releases=("1.32",))

    assert {finding.check for finding in found} == set(expected.split("+"))
    assert any(text in finding.message for finding in found)
    assert all(finding.place.startswith(str(file)) for finding in found)


def test_there_is_a_planted_mistake_for_every_check() -> None:
    heads = [file.read_text().splitlines()[0].removeprefix("# ") for file in BAD]
    planted = {name for head in heads for name in head.partition(": ")[0].split("+")}

    assert len(BAD) >= 30
    assert planted == set(checks.CHECKS)


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_nothing_is_found_in_good_manifests(file: Path, schemas: Schemas) -> None:
    assert messages(read([file]), schemas) == []


@pytest.mark.parametrize("flavour", ["operator", "annotations", "prometheus"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_nothing_is_found_in_our_own(
    platform: str, flavour: str, make: Callable[..., Bundle], schemas: Schemas
) -> None:
    made = make(
        SLO, platform=platform, replicas=2,
        # Those are the same for every deployment, and below.
        monitoring={"flavour": flavour, "dashboards": "none"},
        accelerator={"vendor": "nvidia", "count": 2},
    )  # fmt: skip
    items = [Item(f"{index}", content) for index, content in enumerate(made.objects)]

    assert messages(items, schemas) == []


def test_nothing_is_found_with_everything_switched_on(
    make: Callable[..., Bundle], schemas: Schemas
) -> None:
    made = make(
        SLO,
        replicas=2,
        cache="100Gi",
        tracing={"endpoint": "http://collector.observability:4317"},
        autoscaling={"prometheus": "http://prometheus.monitoring:9090", "most": 4},
        alerting={"slack_channel": "#llm", "slack": {"name": "slack", "key": "url"}},
        load_test={"image": "registry.example/load:1"},
        gpu_exporter={"image": "registry.example/dcgm-exporter:4.8.2"},
        engine={"hugging_face_secret": "hub"},
    )
    items = [Item("a", content) for content in (*made.objects, *made.load_test)]

    assert messages(items, schemas) == []


def test_our_own_are_valid_in_every_release_and_as_written(
    tmp_path: Path, run: Run, make: Callable[..., Bundle]
) -> None:
    main_file = tmp_path / "all"
    with pytest.raises(SystemExit):
        main(["manifests", "generate", str(ROOT / "examples" / "deployment.yaml"),
              "--format", "kustomize", "--out", str(main_file)])  # fmt: skip

    code, out, _ = run(main_file, "--crds", CRDS)

    assert (code, out.splitlines()[-1]) == (0, "15 objects: no findings")


def test_validation_rules_are_evaluated(schemas: Schemas) -> None:
    content: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "chat"},
        "spec": {"model": {"uri": "hf://a/b"}, "replicas": 1, "scaling": {"maxReplicas": 2}},
    }
    found = schemas.problems(Item("a", content))

    assert found is not None
    assert any("replicas and scaling are mutually exclusive" in problem for problem in found)
    del content["spec"]["scaling"]
    assert schemas.problems(Item("a", content)) == []


def test_a_definition_as_the_cluster_has_it_is_read(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "metadata": {"type": "object"},
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {"size": {"type": "integer", "default": 1}, "when": {}},
            },
        },
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "example.com",
            "names": {"kind": "Widget"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
        },
    }
    (tmp_path / "widget.yaml").write_text(yaml.safe_dump(definition))
    schemas = Schemas.read(tmp_path)

    def problems(spec: dict[str, Any]) -> list[str] | None:
        content = {"apiVersion": "example.com/v1", "kind": "Widget", "spec": spec}
        return schemas.problems(Item("a", content))

    assert problems({}) == []  # a required field with a default is filled in first
    assert problems({"size": None}) == []
    assert "'sise' was unexpected" in " ".join(problems({"sise": 1}) or ())


def test_output_for_people_programs_and_ci(run: Run) -> None:
    file = DATA / "bad" / "latest.yaml"

    code, text, err = run(file, "--crds", CRDS, "--kubernetes", "1.32")
    assert code == 1
    assert "Deployment/chat: vllm: image vllm/vllm-openai:latest is not pinned [images]" in text
    assert err == "firsttoken: 1 finding\n"

    _, out, _ = run(file, "--crds", CRDS, "--kubernetes", "1.32", "--format", "json")
    (finding,) = json.loads(out)["findings"]
    assert (finding["check"], finding["object"]) == ("images", "Deployment/chat")

    _, out, _ = run(file, "--crds", CRDS, "--kubernetes", "1.32", "--format", "junit")
    suite = ElementTree.fromstring(out)  # noqa: S314 - our own output
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert (suite.get("tests"), failed) == (str(len(checks.CHECKS)), ["images"])


def test_a_check_can_be_left_out(run: Run) -> None:
    arguments = (DATA / "bad" / "latest.yaml", "--crds", CRDS, "--kubernetes", "1.32")

    assert run(*arguments, "--skip", "images")[0] == 0
    code, _, err = run(*arguments, "--skip", "image")
    assert code == 2
    assert "no such check; there are schema," in err


def test_what_cannot_be_read_is_one_line(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.yaml"
    for text, expected in [
        ("a: [", "line 1"),
        ("kind: A\nkind: B\n", "line 2: kind is given twice"),
        ("- 1\n", "expected an object with apiVersion and kind"),
        ("", "no objects to check"),
    ]:
        file.write_text(text)
        code, _, err = run(file)
        assert code == 2
        assert expected in err
        assert err.count("\n") == 1
    code, _, err = run(DATA / "good", "--crds", CRDS, "--kubernetes", "2.0")
    assert code == 2
    assert "Kubernetes 2.0: no schemas; there are" in err


def test_objects_of_a_list_are_seen_and_a_kustomization_is_none() -> None:
    entry = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    listed = {"apiVersion": "v1", "kind": "List", "items": [entry, entry]}
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}

    assert len(list(items_of(listed, "a"))) == 2
    assert list(items_of(kustomization, "a")) == []
    with pytest.raises(ConfigError, match="expected an object"):
        list(items_of([1], "a"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = ("Deployment", "Service", "PodMonitor", "InferenceService", "ConfigMap", "NetworkPolicy")
LATER = frozenset({"schema", "rules"})


@settings(max_examples=150)
@given(st.sampled_from(KINDS), JSON, JSON)
def test_no_malformed_object_ends_in_a_traceback(kind: str, metadata: Any, spec: Any) -> None:
    item = Item("a", {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})

    checks.run([item], Schemas({}), skip=LATER)
