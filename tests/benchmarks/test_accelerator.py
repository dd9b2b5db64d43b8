"""The accelerator script: what is finished stays, what fails is told, a killed run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from device_suite.record import (
    DeviceLostError,
    Measurement,
    Record,
    RecordError,
    describe_machine,
    read_content,
)
from device_suite.report import markdown
from device_suite.timing import compare_in_turn

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "accelerator.py"


def record(path: Path, minutes: float = 1) -> Record:
    return Record(path, describe_machine(CPU, is_tiny=True), minutes)


def test_a_finished_measurement_is_not_made_again(tmp_path: Path) -> None:
    path, calls = tmp_path / "new" / "a.json", []
    measurement = Measurement("a/b", 1, lambda: calls.append(1) or {"value": 2})
    record(path).take(measurement, CPU)
    assert record(path).take(measurement, CPU) == "is there already"
    assert calls == [1]
    assert read_content(path)["finished"]["a/b"]["value"] == 2


def test_an_error_becomes_one_line_and_stops_nothing(tmp_path: Path) -> None:
    def fails() -> dict[str, Any]:
        raise ValueError("one\ntwo")

    one = record(tmp_path / "a.json")
    assert one.take(Measurement("a/b", 1, fails), CPU) == "failed: ValueError: one two"
    assert "s" in one.take(Measurement("a/c", 1, dict), CPU)
    assert read_content(one.path)["failed"] == {"a/b": "ValueError: one two"}


def test_a_device_that_answers_no_more_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loses() -> dict[str, Any]:
        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("device-side assert")

        monkeypatch.setattr(torch, "zeros", broken)
        raise RuntimeError("illegal access")

    one = record(tmp_path / "a.json")
    with pytest.raises(DeviceLostError, match="device-side assert"):
        one.take(Measurement("a/b", 1, loses), CPU)
    assert read_content(one.path)["failed"] == {"a/b": "RuntimeError: illegal access"}


def test_what_no_longer_fits_is_left_out_with_a_reason(tmp_path: Path) -> None:
    one = record(tmp_path / "a.json", minutes=0.5)
    one.take(Measurement("a/b", 300, dict), CPU)
    assert "takes about 300 s" in read_content(one.path)["left_out"]["a/b"]
    again = record(tmp_path / "a.json", minutes=10)
    again.take(Measurement("a/b", 300, dict), CPU)
    content = read_content(one.path)
    assert "a/b" in content["finished"]
    assert not content["left_out"]


def test_a_measurement_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    def long() -> dict[str, Any]:
        try:
            time.sleep(30)
        except Exception:  # as a compiler that falls back does
            pytest.fail("the stop was handled on the way")
        return {}

    one = record(tmp_path / "a.json", minutes=1 / 60)
    assert "not finished after" in one.take(Measurement("a/b", 0, long), CPU)
    content = read_content(one.path)
    assert content["attempts"] == {}
    assert "a/b" in content["left_out"]


def test_a_measurement_that_ends_the_process_twice_has_failed(tmp_path: Path) -> None:
    one = record(tmp_path / "a.json")
    one.content["attempts"]["a/b"] = 2
    assert "the process ended 2 times" in one.take(Measurement("a/b", 1, dict), CPU)
    assert "a/b" in read_content(one.path)["failed"]


def test_numbers_of_two_machines_do_not_mix(tmp_path: Path) -> None:
    record(tmp_path / "a.json").write()
    other = describe_machine(CPU, is_tiny=True) | {"device": "another card"}
    with pytest.raises(RecordError, match=r"measured elsewhere .*another card"):
        Record(tmp_path / "a.json", other, 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {}}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="file of"):
        read_content(path)


def test_a_contestant_that_fails_leaves_the_others_in() -> None:
    def fails() -> None:
        raise RuntimeError("no second derivative")

    values = compare_in_turn({"good": lambda: None, "bad": fails}, CPU, seconds=0.1)
    assert values["bad"] == {"error": "RuntimeError: no second derivative"}
    assert values["good"]["rounds"] >= 3


def script(*arguments: object) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def test_a_killed_run_goes_on_and_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    run = script(
        "--device", "cpu", "--tiny", "--only", "checks/layer", "--minutes", 1, "--out", path
    )
    with subprocess.Popen(run, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(4):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    before = read_content(path)
    assert 3 <= len(before["finished"]) < 30
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.count("is there already") >= 3
    after = read_content(path)
    assert before["finished"].items() <= after["finished"].items()
    assert after["attempts"] == {}
    assert not after["left_out"]
    assert f"{len(after['finished'])} of {len(after['finished'])} checks passed" in markdown(after)


def test_without_a_gpu_one_sentence_says_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = subprocess.run(
        script("--out", tmp_path / "a.json"), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: torch sees no GPU here: give --device cpu, or run it where there is one\n"
    )


def test_the_script_needs_torch_and_numpy_alone() -> None:
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import accelerator\n"
        "extras = ('typer rich matplotlib datasets pyarrow jinja2 PIL sklearn tensorboard "
        "huggingface_hub foolbox pytest accelerate').split()\n"
        "print([name for name in extras if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_report_shows_ratios_failures_and_what_is_missing() -> None:
    content = json.loads(
        """{"machine": {"device": "Card", "memory_gib": 80.0, "torch": "2.13", "is_tiny": false},
        "finished": {
         "checks/layer/GELU/float64": {"largest_difference": 1e-12, "seconds": 1},
         "steps/resnet18/float32, contiguous, eager": {"batch": 64, "shape": [3, 224, 224],
          "seconds": 1, "steps": {
           "plain": {"milliseconds": 10.0, "peak_mib": 100.0},
           "exact penalty": {"milliseconds": 25.0, "peak_mib": 300.0},
           "PGD(3)": {"error": "RuntimeError: no"}}},
         "training/mnist-complex/eager": {"seconds_for_15_epochs": 28.0, "seconds": 1,
          "milliseconds_a_step": 2.0, "clean_accuracy": 0.991}},
        "failed": {"checks/attack/pgd": "AssertionError: elsewhere", "steps/x": "OOM"},
        "left_out": {"battery/y": "takes about 45 s, 3 s left"}, "attempts": {}}"""
    )
    text = markdown(content)
    assert "1 of 2 checks passed" in text
    assert "**failed** attack/pgd: AssertionError: elsewhere" in text
    assert "| resnet18 (64) | 10.00 | 2.50 (memory 3.00) | failed |" in text
    assert "- resnet18, PGD(3): RuntimeError: no" in text
    assert "| mnist-complex/eager | 28.0 | 2.00 | 99.10% |" in text
    assert "- battery/y: takes about 45 s, 3 s left" in text
