"""Load files: short where defaults will do, and a mistake is one sentence."""

from pathlib import Path

import pytest

from firsttoken.errors import ConfigError, UsageError
from firsttoken.loadgen.distributions import Fixed
from firsttoken.loadgen.settings import LoadFile, api_key, load


def read(tmp_path: Path, text: str) -> LoadFile:
    file = tmp_path / "load.yaml"
    file.write_text(text)
    return load(file)


def test_the_example_file_is_valid() -> None:
    example = Path(__file__).parents[2] / "examples" / "load.yaml"
    assert load(example).duration == 30


def test_a_bare_number_of_tokens_is_fixed(tmp_path: Path) -> None:
    assert read(tmp_path, "prompt_tokens: 12").prompt_tokens == Fixed(tokens=12)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("arivals: {}", "did you mean arrivals"),
        ("arrivals: {kind: burst, rate: 1}", "line 1: arrivals: "),
        ("arrivals: {kind: poisson, rate: 0}", "greater than 0"),
        ("arrivals: {kind: closed, rate: 3}", "unknown key"),
        ("duration: soon", "expected a duration"),
        ("duration: 0s", "greater than 0"),
        ("prompt_tokens: 0", "greater than or equal to 1"),
        ("prompt_tokens: {kind: uniform, low: 9, high: 3}", "low (9) must not be above high (3)"),
        ("headers: {Host: x}", "set by the load generator"),
        ("headers: {'a b': x}", "not a header name"),
        ("version: firsttoken/v9", "firsttoken/v1"),
    ],
)
def test_a_mistake_names_the_key_and_what_is_allowed(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert problem in str(caught.value)
    assert "line 1" in str(caught.value)


def test_header_values_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANT", "blue")
    settings = read(tmp_path, "headers: {X-Tenant: 'team-${TENANT}'}")
    assert settings.resolved_headers() == {"X-Tenant": "team-blue"}
    monkeypatch.delenv("TENANT")
    with pytest.raises(UsageError, match="no variable TENANT"):
        settings.resolved_headers()


def test_literal_header_values_are_not_shown(tmp_path: Path) -> None:
    settings = read(tmp_path, "headers: {X-Secret: hunter2, X-Named: '${TENANT}'}")
    assert settings.public()["headers"] == {"X-Secret": "***", "X-Named": "${TENANT}"}


def test_the_projects_own_key_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIRSTTOKEN_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert api_key() is None
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    assert api_key() == "second"
    monkeypatch.setenv("FIRSTTOKEN_API_KEY", "first")
    assert api_key() == "first"
    monkeypatch.setenv("FIRSTTOKEN_API_KEY", "two\nlines")
    with pytest.raises(UsageError, match="FIRSTTOKEN_API_KEY") as caught:
        api_key()
    assert "lines" not in str(caught.value)
