"""The generated files: the same bytes each time, in every form that Grafana takes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from firsttoken.catalogue import METRICS, REQUEST_MODEL
from firsttoken.dashboards.commands import dashboards as command
from firsttoken.dashboards.render import configmap, dashboards, grafana_dashboard, to_json
from firsttoken.vocabulary import Variant, Vocabulary

GOLDEN = Path(__file__).parents[1] / "golden" / "dashboards"
UIDS = [
    "firsttoken-slo",
    "firsttoken-service",
    "firsttoken-replica",
    "firsttoken-kv-cache",
    "firsttoken-gpu",
    "firsttoken-capacity",
    "firsttoken-data-quality",
]


def every_panel(shape: dict[str, Any]) -> list[dict[str, Any]]:
    return [p for row in shape["panels"] for p in (row, *row.get("panels", ()))]


def test_there_are_seven_dashboards_in_reading_order() -> None:
    assert list(dashboards()) == UIDS


@pytest.mark.parametrize("uid", UIDS)
def test_a_dashboard_is_byte_for_byte_the_kept_one(uid: str) -> None:
    file = GOLDEN / f"{uid}.json"
    text = to_json(dashboards()[uid])
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        pytest.fail(f"{file.name} rewritten, look at git diff")

    assert text == file.read_text(encoding="utf-8")


def test_no_two_panels_share_an_id_or_a_place() -> None:
    for shape in dashboards().values():
        shown = every_panel(shape)
        ids = [panel["id"] for panel in shown]
        assert len(ids) == len(set(ids))
        taken: set[tuple[int, int]] = set()
        for panel in shape["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, panel["title"]
            taken |= cells


def test_the_first_screen_answers_without_scrolling() -> None:
    for shape in dashboards().values():
        first = [p for p in shape["panels"] if p["gridPos"]["y"] + p["gridPos"]["h"] <= 24]
        tiles = [p for p in first if p["type"] == "stat"]
        assert len(tiles) <= 16
        assert max(p["gridPos"]["y"] for p in tiles) == 0


def test_no_panel_or_query_carries_an_old_shape() -> None:
    text = json.dumps(list(dashboards().values()))

    for key in ("__inputs", "intervalFactor", "nullPointMode", '"graph"'):
        assert key not in text
    limited = [p for s in dashboards().values() for p in every_panel(s) if "maxDataPoints" in p]
    assert min(panel["maxDataPoints"] for panel in limited) >= 180  # 20 s of an hour
    assert all(shape["schemaVersion"] == 42 for shape in dashboards().values())


def test_a_source_that_lacks_a_metric_gets_no_panel_for_it() -> None:
    plain = Vocabulary(
        "plain",
        {m.name: (Variant(f"plain:{m.name.split('.')[-1]}"),) for m in METRICS[:12]},
        {REQUEST_MODEL.name: "model_name"},
    )

    shapes = dashboards(plain)

    assert "firsttoken-gpu" not in shapes
    titles = {panel["title"] for panel in every_panel(shapes["firsttoken-service"])}
    assert "TTFT p95" in titles
    assert "Preemptions" not in titles
    assert 'model_name=~\\"$model' in to_json(shapes["firsttoken-service"])
    assert "gen_ai_server" not in to_json(shapes["firsttoken-service"])


def test_all_dashboards_fit_into_one_configmap_that_holds_the_same_json() -> None:
    shapes = dashboards()

    made = configmap("firsttoken-dashboards", shapes, namespace="monitoring", folder="Models")

    assert made["metadata"] == {
        "name": "firsttoken-dashboards",
        "namespace": "monitoring",
        "labels": {"grafana_dashboard": "1"},
        "annotations": {"grafana_folder": "Models"},
    }
    assert {json.loads(text)["uid"]: json.loads(text) for text in made["data"].values()} == shapes


def test_every_form_holds_the_same_bytes_of_a_dashboard() -> None:
    for uid, shape in dashboards().items():
        config = configmap(uid, {uid: shape})
        resource = grafana_dashboard(shape)

        (text,) = config["data"].values()
        assert text == resource["spec"]["json"]
        assert json.loads(text) == json.loads(to_json(shape))
        assert len(text.encode()) < 1_048_576


def test_dashboards_too_large_for_a_configmap_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        configmap("x", {"a": {"description": "x" * 1_100_000}})


def test_generate_writes_each_form(tmp_path: Path) -> None:
    def generate(form: str) -> dict[str, Any]:
        out = tmp_path / form
        done = CliRunner().invoke(command, ["generate", "--format", form, "--out", str(out)])
        assert done.exit_code == 0, done.output
        return {
            file.name: json.loads(text)
            if file.suffix == ".json"
            else yaml.load(text, yaml.CSafeLoader)
            for file in out.iterdir()
            for text in [file.read_text()]
        }

    shapes = dashboards()
    assert generate("json") == {f"{uid}.json": shape for uid, shape in shapes.items()}
    maps = generate("configmap")
    assert json.loads(maps["firsttoken-slo.yaml"]["data"]["firsttoken-slo.json"])
    resources = generate("grafana-operator")
    assert json.loads(resources["firsttoken-slo.yaml"]["spec"]["json"]) == shapes["firsttoken-slo"]
    provisioned = generate("provisioning")
    (provider,) = provisioned.pop("provider.yaml")["providers"]
    assert provider["options"]["path"] == str(tmp_path / "provisioning")
    assert set(provisioned) == {f"{uid}.json" for uid in UIDS}


def test_generate_on_stdout_can_be_piped() -> None:
    one = CliRunner().invoke(command, ["generate", "firsttoken-gpu"])
    every = CliRunner().invoke(command, ["generate", "--format", "configmap"])

    assert json.loads(one.output)["uid"] == "firsttoken-gpu"
    assert len(list(yaml.load_all(every.output, yaml.CSafeLoader))) == len(UIDS)


def test_a_dashboard_that_does_not_exist_is_named_with_those_that_do() -> None:
    done = CliRunner().invoke(command, ["generate", "nonsense"])

    said = str(done.exception)
    assert "no dashboard nonsense for source semconv; there are firsttoken-slo" in said
