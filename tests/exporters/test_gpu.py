"""``firsttoken gpu`` over stand-ins of the libraries: the conventions' names and units."""

import functools
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from firsttoken import servers
from firsttoken.exporters import page
from firsttoken.exporters.gpus import place, reading

GPUS = Path(__file__).parents[1] / "data" / "gpus"
PROGRAM = [sys.executable, "-m", "firsttoken", "gpu"]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each library, which has its stand-in as a module."""
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("pynvml", "amdsmi"):
        (folder / name).mkdir()
        shutil.copy(GPUS / f"{name}.txt", folder / name / f"{name}.py")
    return folder


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_VISIBLE_DEVICES")}
    return clean | {"PYTHONPATH": str(folder)} | more


@functools.cache
def run(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "--once"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(folder, **more),
    )


def series(text: str) -> dict[str, float]:
    """Name and telling labels -> value."""
    keep = (
        *("hw_gpu_task", "hw_sensor_location", "hw_frequency_domain", "error_type"),
        *("hw_limit_type", "hw_gpu_throttle_reason"),
    )
    return {
        " ".join(
            [family.name, sample.labels["hw_id"], *(sample.labels.get(k, "") for k in keep)]
        ).strip(): sample.value
        for family in page.parse(text)
        for sample in family.samples
    }


def test_an_nvidia_gpu_in_the_conventions_units(libraries: Path) -> None:
    done = run(libraries / "pynvml")
    found = {k: v for k, v in series(done.stdout).items() if " GPU-0" in k}

    assert done.stderr == ""
    assert found == {
        "hw_gpu_utilization_ratio GPU-0 general": 1.0,
        "hw_gpu_utilization_ratio GPU-0 encoder": 0.0,
        "hw_gpu_utilization_ratio GPU-0 decoder": 0.0,
        "hw_gpu_memory_controller_utilization_ratio GPU-0": 0.24,
        "hw_power_watts GPU-0": 691.105,
        "hw_power_limit_watts GPU-0": 700.0,
        "hw_energy_joules GPU-0": 8718.808,
        "hw_temperature_celsius GPU-0  die": 58.0,
        "hw_temperature_celsius GPU-0  memory": 47.0,
        "hw_temperature_limit_celsius GPU-0  die   throttled": 89.0,
        "hw_temperature_limit_celsius GPU-0  die   critical": 95.0,
        "hw_frequency_hertz GPU-0   sm": 1.545e9,
        "hw_frequency_hertz GPU-0   memory": 3.201e9,
        "hw_gpu_pcie_replays GPU-0": 0.0,
        "hw_errors GPU-0    corrected": 5.0,
        "hw_errors GPU-0    uncorrected": 0.0,
        "hw_gpu_memory_remapped_rows GPU-0    corrected": 0.0,
        "hw_gpu_memory_remapped_rows GPU-0    uncorrected": 2.0,
        "hw_gpu_memory_row_remap_failed GPU-0": 0.0,
        "hw_gpu_throttle_time_seconds GPU-0      power": 8.5452296,
        "hw_gpu_throttle_time_seconds GPU-0      thermal": 0.0,
        "hw_gpu_throttle_time_seconds GPU-0      sync_boost": 0.0,
        "hw_gpu_throttle_time_seconds GPU-0      reliability": 0.0,
        "hw_gpu_memory_limit_bytes GPU-0": 150754820096.0,
        "hw_gpu_memory_usage_bytes GPU-0": 11797331968.0,
        "hw_gpu_memory_free_bytes GPU-0": 138312548352.0,
        "hw_gpu_memory_reserved_bytes GPU-0": 644939776.0,
    }


def test_with_mig_the_memory_is_the_slices_and_the_rest_the_boards(libraries: Path) -> None:
    found = series(run(libraries / "pynvml").stdout)

    assert [k for k in found if "memory_usage" in k and " GPU-1" in k] == [
        "hw_gpu_memory_usage_bytes GPU-1/gi1",
        "hw_gpu_memory_usage_bytes GPU-1/gi2",
    ]
    assert found["hw_fan_speed_ratio GPU-1"] == 0.45
    assert "hw_power_watts GPU-1" in found
    assert "hw_gpu_utilization_ratio GPU-1 general" not in found


def test_a_lost_gpu_takes_nothing_else_away(libraries: Path) -> None:
    assert "GPU-2" not in run(libraries / "pynvml").stdout


def test_of_a_pods_devices_only_its_own_are_served_and_say_whose_they_are(libraries: Path) -> None:
    done = run(
        libraries / "pynvml",
        NVIDIA_VISIBLE_DEVICES="GPU-0",
        OTEL_RESOURCE_ATTRIBUTES="k8s.pod.name=chat-0,service.name=x",
    )

    assert "GPU-1" not in done.stdout
    assert 'k8s_pod_name="chat-0"' in done.stdout
    assert "service" not in done.stdout


def test_of_a_board_only_the_slices_of_the_container_are_served(libraries: Path) -> None:
    """A device plugin shows a container its slices by their own UUIDs."""
    found = series(run(libraries / "pynvml", NVIDIA_VISIBLE_DEVICES="MIG-1").stdout)

    assert [k for k in found if "memory_usage" in k] == ["hw_gpu_memory_usage_bytes GPU-1/gi2"]
    assert "hw_power_watts GPU-1" in found


@pytest.mark.parametrize("visible", ["1", "GPU-2"])
def test_of_amds_devices_only_those_that_are_visible_are_served(
    libraries: Path, visible: str
) -> None:
    """ROCm names them by number, or by the serial number that it calls their UUID."""
    found = series(run(libraries / "amdsmi", ROCR_VISIBLE_DEVICES=visible).stdout)

    assert {k.split()[1] for k in found} == {"0000:26:00.0"}


def test_an_amd_gpu_in_the_conventions_units(libraries: Path) -> None:
    found = series(run(libraries / "amdsmi").stdout)
    uuid = "00000001-0000-1000-80a0-c0ffee000000"

    assert {k: v for k, v in found.items() if uuid in k} == {
        f"hw_gpu_utilization_ratio {uuid} general": 0.91,
        f"hw_gpu_memory_controller_utilization_ratio {uuid}": 0.0,
        f"hw_gpu_memory_usage_bytes {uuid}": 180000 * 1024.0**2,
        f"hw_gpu_memory_limit_bytes {uuid}": 196592 * 1024.0**2,
        f"hw_power_watts {uuid}": 620.0,
        f"hw_energy_joules {uuid}": 15.3,
        f"hw_temperature_celsius {uuid}  junction": 71.0,
        f"hw_frequency_hertz {uuid}   system": 2.1e9,
    }


def test_a_device_without_a_uuid_is_known_by_its_place_and_what_it_lacks_is_left_out(
    libraries: Path,
) -> None:
    found = [k for k in series(run(libraries / "amdsmi").stdout) if " 0000:26:00.0" in k]

    assert "hw_power_watts 0000:26:00.0" in found
    assert "hw_gpu_utilization_ratio 0000:26:00.0 general" not in found


def test_without_a_gpu_it_says_so_and_ends_with_2(tmp_path: Path) -> None:
    for name in ("pynvml", "amdsmi"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} has no library')\n")
    done = run(tmp_path)

    assert done.returncode == 2
    assert done.stderr == (
        "firsttoken: no GPU is found (NVML: pynvml has no library;"
        " AMD SMI: amdsmi has no library)\n"
    )


def test_it_serves_until_it_is_told_to_end_and_hears_of_xid_errors_meanwhile(
    libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(libraries / "pynvml").items():
        monkeypatch.setenv(name, value)
    with servers.start("gpu", [*PROGRAM, "--listen=127.0.0.1:0"], tmp_path / "gpu.log") as child:
        address = f"{servers.announced_address(child)}/metrics"
        text = page.read(address)
        while "hw_gpu_xid_last{" not in text or "} 31.0" not in text:  # heard within a moment
            text = page.read(address)
        code = child.stop()

    # The second cannot tell, and the third is lost.
    assert text.count("hw_gpu_xid_last{") == 1
    assert code == 0


def test_where_none_is_visible_it_says_so(libraries: Path) -> None:
    done = run(libraries / "pynvml", NVIDIA_VISIBLE_DEVICES="GPU-9")

    assert done.returncode == 2
    assert done.stderr.startswith("firsttoken: no GPU is found that NVIDIA_VISIBLE_DEVICES")


def test_an_address_in_use_is_said_in_one_line(libraries: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*PROGRAM, f"--listen=127.0.0.1:{port}"],
            capture_output=True, text=True, check=False, env=environment(libraries / "pynvml"),
        )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr == f"firsttoken: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_only_attributes_that_an_entry_has_come_with_it() -> None:
    found = reading("hw.gpu.utilization", 0.5, {"hw.id": "a", "hw.type": "gpu", "hw.parent": ""})

    assert found.attributes == {"hw.id": "a"}


def test_of_the_environment_only_the_place_is_taken() -> None:
    assert place({}) == {}
    assert place({"OTEL_RESOURCE_ATTRIBUTES": "k8s.node.name=n, host.name=h,junk,a=b"}) == {
        "k8s.node.name": "n",
        "host.name": "h",
    }
