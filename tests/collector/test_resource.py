"""``target_info``: one for each source, with what is known of its target."""

import re

import pytest
from tests.collector.conftest import GOOD, collected, response, settings, upstream

from firsttoken.collector.form import OPENMETRICS, TEXT
from firsttoken.collector.resource import attributes_of
from firsttoken.collector.settings import Settings

ENVIRONMENT = {
    "POD_NAME": "chat-0",
    "POD_NAMESPACE": "llm",
    "NODE_NAME": "n1",
    "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=team%20a,broken, k8s.deployment.name = chat",
    "OTEL_SERVICE_NAME": "chat",
}


def attributes(
    environment: dict[str, str], told: dict[str, str] | None = None, *, local: bool = True
) -> dict[str, str]:
    config = Settings.model_validate(
        {
            "sources": [{"name": "vllm", "port": 8000, "resource": told or {}}],
            "resource": {"a": "shared"},
        }
    )
    return dict(attributes_of(config.sources[0], config, environment, local=local))


def test_the_pod_s_environment_tells_of_sources_in_the_pod() -> None:
    assert attributes(ENVIRONMENT) == {
        "a": "shared",
        "k8s.deployment.name": "chat",
        "k8s.namespace.name": "llm",
        "k8s.node.name": "n1",
        "k8s.pod.name": "chat-0",
        "service.name": "chat",
        "service.namespace": "team a",
    }
    assert attributes(ENVIRONMENT, local=False) == {"a": "shared", "service.name": "vllm"}


def test_what_the_configuration_says_counts_most() -> None:
    found = attributes(ENVIRONMENT, {"service.name": "mine", "a": "own"})

    assert (found["service.name"], found["a"]) == ("mine", "own")


def told(page: bytes) -> list[str]:
    return re.findall(r"^target_info\{.*$", page.decode(), re.MULTILINE)


def test_there_is_one_for_each_source_that_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "POD_NAME", "POD_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    with upstream(response(GOOD)) as one, upstream(response(b"", status=500)) as two:
        page = collected(settings(one.url, two.url)).page

    assert told(page) == ['target_info{service_name="s0",firsttoken_source="s0"} 1']


def test_what_a_source_says_of_itself_is_believed_and_added_to() -> None:
    page = b'# TYPE target_info gauge\ntarget_info{service_name="own",x="1"} 1\nup 1\n'
    with upstream(response(page)) as one, upstream(response(GOOD)) as two:
        config = Settings.model_validate(
            {**settings(one.url, two.url).model_dump(), "resource": {"y": "2"}}
        )
        for form, kind in ((TEXT, "# TYPE target_info gauge"), (OPENMETRICS, "# TYPE target info")):
            served = collected(config, form).page
            assert kind in served.decode()
            assert [line for line in told(served) if "s0" in line] == [
                'target_info{service_name="own",x="1",y="2",firsttoken_source="s0"} 1'
            ]
            assert len(told(served)) == 2
