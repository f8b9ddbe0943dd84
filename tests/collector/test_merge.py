import re

from tests.collector.conftest import samples
from tests.collector.test_page import UTF8, merged

from firsttoken.collector.form import OPENMETRICS

VLLM = b"""\
# HELP vllm:num_requests_running Running.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 12345678901234567.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 0.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="1.0",model_name="m"} 2.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 2.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 2.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 0.30000000000000004
# TYPE process_open_fds gauge
process_open_fds 9
# TYPE vllm:not_in_the_catalogue gauge
vllm:not_in_the_catalogue 1
"""
DCGM = b"""\
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA H200"} 87
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",device="nvidia1",modelName="NVIDIA H200"} 9223372036854775792
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA H200"} 81559
# TYPE process_open_fds gauge
process_open_fds 5
"""  # noqa: E501


def test_known_families_have_convention_names_and_attributes() -> None:
    found = samples(merged(("e", VLLM, "vllm")))

    labels = (
        'gen_ai_operation_name="chat",gen_ai_provider_name="vllm",gen_ai_request_model="m",'
        'gen_ai_server_engine_id="0"'
    )
    assert found[f"gen_ai_server_requests_running{{{labels}}}"] == "3.0"
    assert (
        found[f'gen_ai_server_time_to_first_token_seconds_bucket{{{labels},le="0.001"}}'] == "0.0"
    )
    assert found[f"gen_ai_server_time_to_first_token_seconds_sum{{{labels}}}"] == (
        "0.30000000000000004"
    )


def test_the_text_of_numbers_is_kept() -> None:
    assert b'gen_ai_token_type="input"} 12345678901234567.0\n' in merged(("e", VLLM, "vllm"))


def test_units_are_changed_exactly() -> None:
    found = samples(merged(("g", DCGM, "dcgm")))
    used = [v for k, v in found.items() if k.startswith("hw_gpu_memory_usage_bytes{")]
    busy = [v for k, v in found.items() if k.startswith("hw_gpu_utilization_ratio{")]

    assert used == [str(81559 * 1024 * 1024)]
    assert busy == ["0.87"], "the second GPU's value stands for nothing measured"


def test_unknown_families_pass_under_their_own_name() -> None:
    assert samples(merged(("e", VLLM, "vllm")))["vllm:not_in_the_catalogue"] == "1"


def test_families_of_several_sources_have_the_source_as_a_label() -> None:
    found = samples(merged(("e", VLLM, "vllm"), ("g", DCGM, "dcgm")))

    assert found['process_open_fds{firsttoken_source="e"}'] == "9"
    assert found['process_open_fds{firsttoken_source="g"}'] == "5"


def test_two_engines_keep_all_their_series() -> None:
    page = merged(("a", VLLM, "vllm"), ("b", VLLM, "vllm")).decode()

    running = re.findall(r"gen_ai_server_requests_running\{.*firsttoken_source=\"(.)\"\}", page)
    assert running == ["a", "b"]


def test_a_source_that_is_a_collector_keeps_its_own_sources_apart() -> None:
    page = b'a{firsttoken_source="inner"} 1\n'
    found = samples(merged(("x", page, None), ("y", page, None)))

    assert set(found) == {
        'a{firsttoken_source="x/inner"}',
        'a{firsttoken_source="y/inner"}',
    }


def test_each_name_is_one_block_with_its_comments_once() -> None:
    page = merged(("a", VLLM, "vllm"), ("g", DCGM, "dcgm"), ("b", VLLM, "vllm")).decode()
    typed = re.findall(r"^# TYPE (\S+) ", page, re.MULTILINE)
    blocks = [re.split(r"[{ ]", line)[0] for line in page.splitlines() if not line.startswith("#")]
    blocks = [re.sub(r"_(bucket|count|sum)$", "", name) for name in blocks]
    runs = [name for place, name in enumerate(blocks) if place == 0 or blocks[place - 1] != name]

    assert len(typed) == len(set(typed))
    assert len(runs) == len(set(runs))


def test_types_are_never_mixed() -> None:
    first, second = b"# TYPE a counter\na 1\n", b"# TYPE a gauge\na 2\n"
    found = samples(merged(("x", first, None), ("y", second, None)))

    assert found == {'a{firsttoken_source="x"}': "1"}


def test_dotted_names_are_quoted() -> None:
    page = merged(("e", VLLM, "vllm"), form=UTF8).decode()

    assert '{"gen_ai.server.requests.running","gen_ai.operation.name"="chat",' in page
    assert '# TYPE "gen_ai.server.tokens.processed" counter' in page
    assert '{"gen_ai.server.tokens.processed_total",' in page


def test_the_text_format_s_bounds_become_canonical_in_openmetrics() -> None:
    page = b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'

    assert b'h_bucket{le="1"} 1\n' in merged(("x", page, None))
    assert b'h_bucket{le="1.0"} 1\n' in merged(("x", page, None), form=OPENMETRICS)


def test_a_metric_that_cannot_be_right_is_left_out_of_openmetrics_alone() -> None:
    page = (
        b'# TYPE h histogram\nh_bucket{le="1.0"} 5\nh_bucket{le="+Inf"} 4\nh_sum 1\nh_count 4\n'
        b"# TYPE c counter\nc_total -1\nup 1\n"
    )

    assert samples(merged(("x", page, None), form=OPENMETRICS)) == {"up": "1"}
    assert len(samples(merged(("x", page, None)))) == 6


def test_timestamps_change_unit_between_the_formats() -> None:
    assert b"\na 1 1.5\n" in merged(("x", b"a 1 1500\n", None), form=OPENMETRICS)
    assert b"\na 1 1500\n" in merged(("x", b"a 1 1.5\n# EOF\n", None), openmetrics=True)


def test_openmetrics_types_have_their_own_names_in_the_text_format() -> None:
    page = (
        b'# TYPE i info\ni_info{v="1"} 1\n# TYPE s stateset\ns{s="on"} 1\n# TYPE u unknown\nu 3\n'
        b'# TYPE c counter\nc_total 5 # {id="x"} 1\nc_created 9\n# EOF\n'
    )
    out = merged(("x", page, None), openmetrics=True).decode()

    for line in ("i_info gauge", "s gauge", "u untyped", "c_total counter", "c_created gauge"):
        assert f"# TYPE {line}\n" in out
    assert "c_total 5\n" in out
    same = merged(("x", page, None), openmetrics=True, form=OPENMETRICS).decode()
    assert 'c_total 5 # {id="x"} 1\n' in same


def test_only_a_counter_gives_up_its_total_for_the_time_of_creation() -> None:
    page = (
        b'# TYPE n_total histogram\nn_total_bucket{le="+Inf"} 1\nn_total_count 1\nn_total_sum 1\n'
        b"# TYPE n_total_created gauge\nn_total_created 5\n"
        b"# TYPE c_total counter\nc_total 1\n# TYPE c_created gauge\nc_created 6\n"
    )
    found = samples(merged(("x", page, None), form=OPENMETRICS))

    assert (found["n_total_created"], found["c_created"]) == ("5", "6")
