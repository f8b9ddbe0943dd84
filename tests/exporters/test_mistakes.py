"""A wrong profile is refused when it is loaded, and the message says where and what."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from firsttoken.errors import ConfigError, UsageError
from firsttoken.exporters import profile
from firsttoken.exporters.commands import profiles

HEAD = "name: ours\ntitle: Our server\nprovider: ours\nmetrics:\n"


def refused(folder: Path, text: str) -> str:
    file = folder / "ours.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        profile.load(file)
    message = str(caught.value)
    assert all(line.startswith(f"{file}: ") for line in message.splitlines())
    return message.replace(f"{file}: ", "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(
            ["{from: a, to: gen_ai.server.nothing}"],
            "line 5: metrics.0: gen_ai.server.nothing is no entry of the catalogue",
            id="unknown entry",
        ),
        pytest.param(
            ["{from: a, to: hw.power, unit: MiBy, add: {hw.id: x, hw.type: gpu}}"],
            "line 5: metrics.0: hw.power: MiBy does not convert to W",
            id="unit",
        ),
        pytest.param(
            ["{from: a, to: hw.power, unit: mWatt, add: {hw.id: x, hw.type: gpu}}"],
            "line 5: metrics.0: hw.power: mWatt does not convert to W",
            id="unknown unit",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.preemptions}", "{from: a, to: gen_ai.server.queue.time}"],
            "line 5: a is read by line 6 too",
            id="one family read twice",
        ),
        pytest.param(
            [
                "{from: a, to: gen_ai.server.preemptions}",
                "{from: b, to: gen_ai.server.preemptions}",
            ],
            "line 5: a and b (line 6) would both be gen_ai.server.preemptions: say which is"
            " superseded_by the other, or add an attribute that tells them apart",
            id="two lines for one series",
        ),
        pytest.param(
            ["{from: a, to: hw.gpu.xid.last, where: {gpu: '['}, add: {hw.id: x}}"],
            "line 5: metrics.0.where.gpu: not a regular expression:"
            " unterminated character set at position 0, not '['",
            id="bad regex",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.tokens.processed}"],
            "line 5: gen_ai.server.tokens.processed needs gen_ai.token.type: add it or a label",
            id="missing attribute",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.preemptions, labels: {pod: pod.name}}"],
            "line 5: metrics.0.labels.pod: pod.name is no attribute of the catalogue,"
            " not 'pod.name'",
            id="unknown attribute",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.preemptions, add: {hw.id: x}}"],
            "line 5: metrics.0: gen_ai.server.preemptions has no attribute hw.id",
            id="attribute of another entry",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.preemptions, type: histogram}"],
            "line 5: metrics.0: a histogram cannot become gen_ai.server.preemptions, a counter",
            id="a histogram as a counter",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.time_to_first_token, type: counter}"],
            "line 5: metrics.0: a counter cannot become gen_ai.server.time_to_first_token,"
            " a histogram",
            id="a counter as a histogram",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.preemptions, since: newest}"],
            "line 5: metrics.0.since: a version is numbers with dots, not 'newest', not 'newest'",
            id="version",
        ),
        pytest.param(
            ["{from: a, to: gen_ai.server.preemptions, units: s}"],
            "line 5: metrics.0.units: unknown key; did you mean unit?",
            id="unknown key",
        ),
    ],
)
def test_a_mistake_is_said_with_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    text = HEAD + "".join(f"  - {line}\n" for line in lines)

    assert refused(tmp_path, text).splitlines()[0].startswith(message)


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    message = refused(
        tmp_path,
        HEAD
        + "  - {from: a, to: gen_ai.server.nothing}\n"
        + "  - {from: b, to: hw.power, unit: s}\n"
        + "known: [{match: '(', why: x}]\n",
    )

    assert [line.partition(":")[0] for line in message.splitlines()] == [
        "line 5",
        "line 6",
        "line 7",
    ]


def test_a_profile_may_include_another_and_say_a_line_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(
        "name: ours\ntitle: Ours\nprovider: ours\ninclude: [vllm]\nmetrics:\n"
        "  - {from: 'vllm:num_requests_waiting', to: gen_ai.server.context.length}\n"
        "  - {from: our_waiting, to: gen_ai.server.requests.waiting}\n"
    )
    ours = profile.load(file)
    page = frozenset({"vllm:num_requests_waiting", "our_waiting", "vllm:num_preemptions"})

    def means(name: str, kind: str) -> list[str]:
        return [found.metric.name for found in ours.translations(name, kind, page)]

    assert means("vllm:num_requests_waiting", "gauge") == ["gen_ai.server.context.length"]
    assert means("our_waiting", "gauge") == ["gen_ai.server.requests.waiting"]
    assert means("vllm:num_preemptions", "counter") == ["gen_ai.server.preemptions"]


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ("waiting", "scheduled", True),
        ("a|b", "c|d", True),
        ("a|b", "b|c", False),
        ("a.*", "b.*", False),
    ],
)
def test_two_lines_may_read_one_family_if_they_read_other_series_of_it(
    tmp_path: Path, first: str, second: str, apart: bool
) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(
        HEAD
        + f"  - {{from: a, to: gen_ai.server.requests.waiting, where: {{t: '{first}'}}}}\n"
        + f"  - {{from: a, to: gen_ai.server.requests.running, where: {{t: '{second}'}}}}\n"
    )
    if not apart:
        with pytest.raises(ConfigError, match="line 5: a is read by line 6 too"):
            profile.load(file)
        return
    both = profile.load(file).translations("a", "gauge", frozenset({"a"}))

    assert [t.metric.name.rpartition(".")[2] for t in both] == ["waiting", "running"]
    assert both[0].labels({"t": "scheduled"}) is None


def test_a_name_that_is_not_known_lists_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"no profile 'vlm' \(there are: .*dcgm.*vllm"):
        profile.load("vlm")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing[.]yaml: cannot be read: No such file"):
        profile.load(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("name", profile.builtin_names())
def test_every_profile_loads_and_its_name_is_its_files(name: str) -> None:
    assert profile.load(name).name == name


@pytest.mark.parametrize("name", profile.builtin_names())
def test_no_builtin_profile_repeats_what_it_says_for_all_lines(name: str) -> None:
    """A label that a line maps as the whole file does would be a second place to change."""
    file = Path(profile.__file__).parent / "profiles" / f"{name}.yaml"
    data = yaml.safe_load(file.read_text())
    whole = data.get("labels", {})

    repeated = [
        (line["from"], label)
        for line in data.get("metrics", [])
        for label, attribute in line.get("labels", {}).items()
        if label in whole and whole[label] == attribute
    ]
    assert repeated == []


def test_the_command_ends_with_one_line_for_a_wrong_profile(tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(HEAD + "  - {from: a, to: gen_ai.server.nothing}\n")
    result = CliRunner().invoke(profiles, ["show", str(file)])

    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
