"""The scripts of the GitHub Action and the GitLab template, run as those services run them."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CI = ROOT / "ci"
ACTION = yaml.safe_load((CI / "github" / "action.yml").read_text())
TEMPLATE = yaml.safe_load((CI / "gitlab" / "firsttoken.yml").read_text())
MARKER = "<!-- firsttoken report"


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(name="fake")
def _fake(tmp_path: Path) -> Path:
    """A ``firsttoken`` that writes what the real one would, and its arguments into ``called``."""
    return executable(
        tmp_path / "firsttoken",
        """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$CALLED"
if [[ $1 == validate ]]; then
    [[ ${FAKE_CODE:-0} == 2 ]] && exit 2
    mkdir -p "$3"; echo '## report' >"$3/report.md"; touch "$3/records.jsonl"
    exit "${FAKE_CODE:-0}"
fi
echo '## comparison'; exit "${FAKE_COMPARED:-0}"
""",
    )


def gate(folder: Path, fake: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "FIRSTTOKEN": str(fake), "CALLED": str(folder / "called"),
        "GITHUB_STEP_SUMMARY": str(folder / "job-summary.md"),
        "GITHUB_OUTPUT": str(folder / "outputs"), **variables,
    }  # fmt: skip
    return subprocess.run(
        [str(CI / "gate")], capture_output=True, text=True, check=False, env=environment, cwd=folder
    )


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder / "outputs").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "passed"), (1, "failed"), (2, "usage"), (3, "not_judged")]
)
def test_the_gate_ends_as_validate_does_and_says_so(
    tmp_path: Path, fake: Path, code: int, verdict: str
) -> None:
    done = gate(tmp_path, fake, FAKE_CODE=str(code))

    assert done.returncode == code
    assert outputs(tmp_path)["verdict"] == verdict
    assert outputs(tmp_path)["exit-code"] == str(code)
    assert "##" in (tmp_path / "job-summary.md").read_text()


def test_what_is_asked_for_becomes_one_command_line(tmp_path: Path, fake: Path) -> None:
    gate(
        tmp_path, fake, FIRSTTOKEN_TARGET="http://engine:8000", FIRSTTOKEN_SLO="my slo.yaml",
        FIRSTTOKEN_LOAD="load.yaml", FIRSTTOKEN_ARGUMENTS="--duration 5m --model a",
    )  # fmt: skip

    assert (tmp_path / "called").read_text().strip() == (
        "validate --out out/firsttoken --target http://engine:8000 --slo my slo.yaml"
        " --load load.yaml --duration 5m --model a"
    )


@pytest.mark.parametrize(
    ("validated", "compared", "code"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (3, 1, 3)]
)
def test_a_regression_fails_a_run_that_met_its_objectives(
    tmp_path: Path, fake: Path, validated: int, compared: int, code: int
) -> None:
    (tmp_path / "base.jsonl").write_text("{}\n")

    done = gate(
        tmp_path, fake, FIRSTTOKEN_BASELINE="base.jsonl", FAKE_CODE=str(validated),
        FAKE_COMPARED=str(compared),
    )  # fmt: skip

    assert done.returncode == code
    assert "## comparison" in (tmp_path / "job-summary.md").read_text()
    assert (
        "load compare base.jsonl out/firsttoken/records.jsonl" in (tmp_path / "called").read_text()
    )


def test_the_first_run_has_no_baseline_and_says_so(tmp_path: Path, fake: Path) -> None:
    done = gate(tmp_path, fake, FIRSTTOKEN_BASELINE="none.jsonl")

    assert done.returncode == 0
    assert "no baseline at `none.jsonl` yet" in (tmp_path / "job-summary.md").read_text()


def test_a_suite_takes_the_place_of_objectives_and_load(tmp_path: Path, fake: Path) -> None:
    gate(tmp_path, fake, FIRSTTOKEN_SUITE="suite.yaml")

    assert (tmp_path / "called").read_text().strip() == (
        "validate --out out/firsttoken --simulate --suite suite.yaml"
    )


def test_the_gate_with_the_real_command_leaves_what_a_job_shows(tmp_path: Path) -> None:
    """On the embedded engine, without Prometheus: a short load, its report, its summary."""
    real = Path(sys.executable).with_name("firsttoken")
    fewer = tmp_path / "bin"
    fewer.mkdir()
    for tool in ("bash", "mkdir", "cat", "head", "env"):
        (fewer / tool).symlink_to(f"/usr/bin/{tool}")
    (tmp_path / "load.yaml").write_text("{duration: 2s, warmup: 0s, output_tokens: 8}\n")

    done = gate(
        tmp_path, real, FIRSTTOKEN_SLO=str(ROOT / "examples" / "slo.yaml"),
        FIRSTTOKEN_LOAD="load.yaml", PATH=str(fewer),
    )  # fmt: skip

    out = tmp_path / "out" / "firsttoken"
    assert done.returncode in (0, 3), done.stderr  # 3 on a machine too busy to be a fair witness
    assert (out / "junit.xml").exists()
    assert (out / "report.html").exists()
    assert "| **ttft**" in (tmp_path / "job-summary.md").read_text()

    # The same records again, as a baseline: the real comparison, not the run, is what is tried.
    (out / "records.jsonl").rename(tmp_path / "base.jsonl")
    again = executable(
        tmp_path / "again",
        f"""#!/usr/bin/env bash
if [[ $1 == validate ]]; then cp base.jsonl "$3/records.jsonl"; exit 0; fi
exec {real} "$@"
""",
    )
    compared = gate(
        tmp_path, again, FIRSTTOKEN_BASELINE="base.jsonl",
        FIRSTTOKEN_COMPARE="--regression-threshold 10% --allow-different",
    )  # fmt: skip

    assert compared.returncode == 0, compared.stderr
    assert "| TTFT p50 |" in (out / "compare.md").read_text()
    assert "| TTFT p50 |" in (tmp_path / "job-summary.md").read_text()


# --- The comment ----------------------------------------------------------------------------------


class Service(BaseHTTPRequestHandler):
    """What an API of comments does, and what it was asked."""

    comments: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[tuple[str, str, str]]] = []
    refuse = False

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        data = json.loads(self.rfile.read(size) or b"{}")
        token = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        type(self).asked.append((self.command, self.path.partition("?")[0], token))
        if self.command == "POST":
            type(self).comments.append({"id": len(self.comments) + 1, "body": data["body"]})
        elif self.command in ("PATCH", "PUT"):
            key = int(self.path.rsplit("/", 1)[1])
            next(one for one in self.comments if one["id"] == key)["body"] = data["body"]
        body = json.dumps(self.comments if self.command == "GET" else {}).encode()
        self.send_response(403 if type(self).refuse else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815 (the library's names)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(name="service")
def _service() -> Iterator[str]:
    Service.comments = [{"id": 1, "body": "a person's words"}]
    Service.asked = []
    Service.refuse = False
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def comment(folder: Path, text: str, **variables: str) -> str:
    (folder / "summary.md").write_text(text)
    bare = {key: value for key, value in os.environ.items() if not key.startswith(("CI", "GIT"))}
    done = subprocess.run(
        [sys.executable, str(CI / "comment"), str(folder / "summary.md")],
        capture_output=True, text=True, check=False, env={**bare, **variables},
    )  # fmt: skip
    assert done.returncode == 0, "a comment never decides about a job"
    return done.stderr


@pytest.fixture(name="github")
def _github(tmp_path: Path, service: str) -> dict[str, str]:
    (tmp_path / "event.json").write_text('{"pull_request": {"number": 7}}')
    return {
        "GITHUB_TOKEN": "t0ken", "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "team/app", "GITHUB_API_URL": service, "GITHUB_RUN_ID": "42",
    }  # fmt: skip


def test_a_pull_request_has_one_comment_that_is_kept_up_to_date(
    tmp_path: Path, github: dict[str, str]
) -> None:
    assert "made" in comment(tmp_path, "## first", **github)
    assert "updated" in comment(tmp_path, "## second", **github)

    bodies = [one["body"] for one in Service.comments]
    assert len(bodies) == 2
    assert bodies[0] == "a person's words"
    assert bodies[1].startswith(MARKER)
    assert "## second" in bodies[1]
    assert "/team/app/actions/runs/42" in bodies[1]
    assert Service.asked[-1] == ("PATCH", "/repos/team/app/issues/comments/2", "Bearer t0ken")


def test_a_merge_request_has_one_note(tmp_path: Path, service: str) -> None:
    gitlab = {
        "GITLAB_CI": "true", "FIRSTTOKEN_GITLAB_TOKEN": "t0ken", "CI_API_V4_URL": service,
        "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "3", "CI_JOB_URL": "https://gitlab/job/9",
    }  # fmt: skip

    comment(tmp_path, "## first", **gitlab)
    comment(tmp_path, "## second", **gitlab)

    assert len(Service.comments) == 2
    assert "https://gitlab/job/9/artifacts/browse" in Service.comments[1]["body"]
    assert Service.asked[-1] == ("PUT", "/projects/5/merge_requests/3/notes/2", "t0ken")


def test_a_long_report_is_cut_at_a_line_and_says_so(tmp_path: Path, github: dict[str, str]) -> None:
    comment(tmp_path, "one line of the report\n" * 10_000, **github)

    body = Service.comments[1]["body"]
    assert len(body) < 65_536
    assert "cut here" in body


def test_without_permission_or_request_nothing_fails_and_no_token_is_shown(
    tmp_path: Path, github: dict[str, str]
) -> None:
    Service.refuse = True
    said = comment(tmp_path, "## x", **github)

    assert "no comment: HTTPError 403" in said
    assert "t0ken" not in said
    assert "no pull request" in comment(tmp_path, "## x")
    del github["GITHUB_TOKEN"]
    assert "GITHUB_TOKEN is not set" in comment(tmp_path, "## x", **github)


# --- The baseline ---------------------------------------------------------------------------------


def test_the_baseline_is_the_records_of_the_last_good_run(tmp_path: Path) -> None:
    """As ``gh`` would give them."""
    executable(
        tmp_path / "gh",
        """#!/usr/bin/env bash
if [[ $1 == run && $2 == list ]]; then echo 99; exit; fi
while (($#)); do [[ $1 == --dir ]] && folder=$2; shift; done
mkdir -p "$folder/deep"; echo '{"kind":"run"}' >"$folder/deep/records.jsonl"
""",
    )
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "team/app",
        "GITHUB_WORKFLOW": "load test",
    }  # fmt: skip
    environment.pop("GITLAB_CI", None)
    file = tmp_path / "base" / "records.jsonl"

    done = subprocess.run(
        [str(CI / "baseline"), str(file)], capture_output=True, text=True, check=False,
        env=environment,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert file.read_text() == '{"kind":"run"}\n'


def test_no_baseline_yet_is_no_failure(tmp_path: Path) -> None:
    executable(tmp_path / "gh", "#!/bin/sh\nexit 1\n")
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "team/app",
        "GITHUB_WORKFLOW": "load test",
    }  # fmt: skip

    done = subprocess.run(
        [str(CI / "baseline"), str(tmp_path / "b.jsonl")], capture_output=True, text=True,
        check=False, env=environment,
    )  # fmt: skip

    assert done.returncode == 0
    assert "none yet" in done.stderr
    assert not (tmp_path / "b.jsonl").exists()


# --- The files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-actions", "ci/github/action.yml"),
        ("vendor.gitlab-ci", "ci/gitlab/firsttoken.yml"),
    ],
)
def test_the_services_own_schema_takes_the_file(schema: str, file: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_script_that_the_action_runs_is_shell_that_bash_reads() -> None:
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    scripts += [line for key in ("before_script", "script", "after_script")
                for line in TEMPLATE[".firsttoken"][key]]  # fmt: skip

    assert len(scripts) >= 9
    for script in scripts:
        done = subprocess.run(
            ["bash", "-n"], input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, script + done.stderr


def test_every_variable_of_the_gate_comes_from_an_input() -> None:
    """What the gate reads is what the action and the template set."""
    read = {
        word.split(":")[0].split("}")[0]
        for word in (CI / "gate").read_text().split("${")[1:]
        if word.startswith("FIRSTTOKEN_")
    }
    (step,) = [one for one in ACTION["runs"]["steps"] if one.get("id") == "gate"]
    set_by_action = {*step["env"], "FIRSTTOKEN_BASELINE"}

    assert read <= set_by_action
    assert read <= set(TEMPLATE[".firsttoken"]["variables"])
    used = {
        name for value in step["env"].values() for name in ACTION["inputs"] if f".{name} " in value
    }
    assert {"target", "slo", "load", "suite", "arguments", "baseline", "out"} <= used


def test_the_action_runs_its_scripts_where_they_lie(tmp_path: Path, fake: Path) -> None:
    """The very text of the step, with the variables that a runner sets."""
    (step,) = [one for one in ACTION["runs"]["steps"] if one.get("id") == "gate"]
    environment = {
        **os.environ, "GITHUB_ACTION_PATH": str(CI / "github"), "RUNNER_TEMP": str(tmp_path),
        "BASELINE": "artefact", "FIRSTTOKEN": str(fake), "CALLED": str(tmp_path / "called"),
        "FIRSTTOKEN_SLO": "slo.yaml", "FIRSTTOKEN_OUT": "report",
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
    }  # fmt: skip
    (tmp_path / "firsttoken-baseline.jsonl").write_text("{}\n")

    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
        capture_output=True, text=True, check=False, env=environment, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path)["report"] == "report"
    assert "load compare" in (tmp_path / "called").read_text()
