"""Who may read the page, and who may not."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from tests.collector.conftest import GOOD, response, settings, upstream
from tests.collector.test_serving import served

from firsttoken.collector.access import access
from firsttoken.collector.settings import Auth

TOKEN = {"Authorization": "Bearer s3cret"}


def test_a_token_is_needed_for_everything_but_probes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")

    async def run(url: str) -> None:
        rule = access(Auth(bearer_token_file=file))
        async with served(settings(url), rule) as (client, base):
            for path in ("/metrics", "/sources", "/"):
                for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
                    async with client.get(base + path, headers=headers) as refused:
                        assert refused.status == 401
                        assert refused.headers["WWW-Authenticate"] == "Bearer"
                async with client.get(base + path, headers=TOKEN) as allowed:
                    assert allowed.status == 200
            for path in ("/healthz", "/readyz"):
                async with client.get(base + path) as probe:
                    assert probe.status == 200

    with upstream(response(GOOD)) as source:
        asyncio.run(run(source.url))


def allows(auth: Auth, *headers: str | None) -> list[bool]:
    async def run() -> list[bool]:
        rule = access(auth)
        return [await rule.allows(header) for header in headers]

    return asyncio.run(run())


def test_a_token_that_is_replaced_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    rule = Auth(bearer_token_file=file)
    assert allows(rule, "Bearer ", "Bearer a", None) == [False, False, False]
    file.write_text("")
    assert allows(rule, "Bearer ", None) == [False, False]
    file.write_text("a")
    assert allows(rule, "Bearer a", "bearer a", "Basic a") == [True, True, False]
    file.write_text("b")
    assert allows(rule, "Bearer a", "Bearer b") == [False, True]


def reviews(status: dict[str, Any]) -> bytes:
    return response(json.dumps({"status": status}).encode(), "application/json", status=201)


def reviewed(url: str, tmp_path: Path) -> Auth:
    own = tmp_path / "own"
    own.write_text("mine")
    server = url.removesuffix("/metrics")
    review = {"users": ["system:serviceaccount:m:prom"], "server": server, "token_file": own}
    return Auth.model_validate({"token_review": review | {"audiences": ["collector"]}})


def test_the_api_server_says_whose_a_token_is_and_is_asked_once(tmp_path: Path) -> None:
    known = {"authenticated": True, "user": {"username": "system:serviceaccount:m:prom"}}
    with upstream(reviews(known)) as api:
        assert allows(reviewed(api.url, tmp_path), "Bearer t", "Bearer t", None) == [
            True,
            True,
            False,
        ]

    assert len(api.requests) == 1
    assert b"POST /apis/authentication.k8s.io/v1/tokenreviews " in api.requests[0]
    assert b"Authorization: Bearer mine" in api.requests[0]


@pytest.mark.parametrize(
    "answer",
    [
        reviews({"authenticated": False}),
        reviews({"authenticated": True, "user": {"username": "system:serviceaccount:m:other"}}),
        reviews({}),
        response(b"", status=403),
        b"not http",
    ],
    ids=["unknown", "somebody_else", "nothing", "forbidden", "no_server"],
)
def test_nobody_else_may_read(
    answer: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with upstream(answer) as api:
        assert allows(reviewed(api.url, tmp_path), "Bearer t0ken") == [False]
    assert "t0ken" not in caplog.text
