"""Fixtures that several folders of tests share."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
# What takes longest begins first, so that no process is left with it alone at the end.
_LONG = ("rules", "loadtest", "validate", "dashboards", "loadgen", "collector", "manifests", "ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders that take longest first."""
    order = {name: at for at, name in enumerate(_LONG)}
    items.sort(key=lambda item: order.get(item.path.relative_to(_TESTS).parts[0], len(order)))


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[[list[tuple[str, str]], str, float], None]:
    """Evaluate an expression on made-up series with the real promtool.

    Arguments: pairs of a series and its values in promtool's notation, one a minute; the
    expression; the one value, without labels, that it must have five minutes in.
    """

    def run(series: list[tuple[str, str]], expression: str, expected: float) -> None:
        test = {
            "rule_files": [],
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series],
                    "promql_expr_test": [
                        {
                            "expr": expression,
                            "eval_time": "5m",
                            "exp_samples": [{"labels": "{}", "value": expected}],
                        }
                    ],
                }
            ],
        }
        file = tmp_path / "test.yaml"
        file.write_text(json.dumps(test))
        done = subprocess.run(
            ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run
