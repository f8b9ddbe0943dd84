"""A convention renames a metric and an attribute: one line of ``naming.RENAMED`` changes it all."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from pathlib import Path

from firsttoken.naming import RENAMED

RENAMED["gen_ai.server.time_to_first_token"] = "gen_ai.server.first_token.duration"
RENAMED["gen_ai.token.type"] = "gen_ai.token.direction"

from firsttoken.dashboards import render
from firsttoken.exporters import document, page, profile
from firsttoken.exporters.check import check
from firsttoken.exporters.commands import series_lines
from firsttoken.rules import output
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.slo import load

root = Path(sys.argv[1])
families = page.parse((root / "tests/data/pages/vllm-0.32.0.txt").read_text())
objectives = load(root / "examples/slo.yaml")
print(json.dumps({
    "page": "\\n".join(series_lines(check(profile.load("vllm"), families))),
    "rules": output.rule_file(rule_groups(objectives)),
    "dashboards": json.dumps(render.dashboards()),
    "docs": document.markdown(),
}))
"""


def test_one_line_renames_what_is_served_recorded_drawn_and_documented() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)

    for what, text in made.items():
        assert "time_to_first_token" not in text.replace("vllm:time_to_first_token", ""), what
        assert "gen_ai_server_first_token_duration_seconds" in text, what
        assert "gen_ai_token_type" not in text, what
        assert "gen_ai.token.type" not in text, what
    assert "gen_ai_token_direction" in made["page"] + made["dashboards"]
