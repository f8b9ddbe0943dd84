"""One source's configuration: what may be said, and what is refused in a sentence."""

import base64
from pathlib import Path
from typing import Any

import pytest
from tests.collector.conftest import collected, response, settings, upstream

from firsttoken.collector.settings import Settings
from firsttoken.config import validate_model
from firsttoken.errors import ConfigError


def source(**told: Any) -> Settings:
    return validate_model({"sources": [{"name": "a", **told}]}, Settings, "file")


def test_a_port_is_a_page_on_this_machine() -> None:
    assert source(port=8000).sources[0].url == "http://127.0.0.1:8000/metrics"
    assert (
        source(port="8002", path="v2/metrics").sources[0].url == "http://127.0.0.1:8002/v2/metrics"
    )


def test_the_environment_stands_in_for_what_only_the_cluster_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOST_IP", "10.0.0.7")
    found = source(url="http://${HOST_IP}:9400", labels={"node": "${HOST_IP}"}).sources[0]

    assert (found.url, found.labels) == ("http://10.0.0.7:9400/metrics", {"node": "10.0.0.7"})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "url: required"),
        ({"port": "http"}, "from 1 to 65535"),
        ({"port": 70000}, "from 1 to 65535"),
        ({"url": "http://${FT_NOT_SET}:1"}, "the environment has no FT_NOT_SET"),
        ({"url": "http://h", "tls": {"ca_file": "/x"}}, "begins with https://"),
        ({"url": "https://h", "tls": {"cert_file": "/x"}}, "belong together"),
        ({"port": 1, "basic_auth": {"username": "u"}}, "password_file or password_env"),
        (
            {
                "port": 1,
                "bearer_token_env": "T",
                "basic_auth": {"username": "u", "password_env": "P"},
            },
            "bearer_token_env or basic_auth, not both",
        ),
        ({"port": 1, "only": {"pod": "chat-0"}}, "NAMESPACE/NAME"),
        ({"port": 1, "only": {"labels": {"a": "("}}}, "no regular expression"),
        ({"port": 9464}, "is the collector itself"),
    ],
)
def test_what_cannot_be_is_refused(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        source(**told)


def test_a_user_and_a_password_are_sent_and_never_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    with upstream(response(b"", status=401)) as page:
        config = settings(page.url).model_dump()
        config["sources"][0]["basic_auth"] = {"username": "me", "password_file": file}
        answer = collected(Settings.model_validate(config))

        sent = base64.b64encode(b"me:s3cret")
        assert b"Authorization: Basic " + sent in page.requests[0]
        told = caplog.text + answer.results[0].detail + repr(config) + answer.page.decode()
        assert "s3cret" not in told
        assert sent.decode() not in told
