"""What many GPUs cost, by hand where it is simple."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import scaling_model
from scaling_model import Cluster, Task, cost_of_training, exchange_seconds

MILLION = 1_000_000


def test_one_gpu_exchanges_nothing() -> None:
    assert exchange_seconds(MILLION, Cluster(gpus=1)) == 0


def test_two_gpus_send_their_gradients_once_each_way() -> None:
    cluster = Cluster(gpus=2, node_gbytes=1.0, latency=0.0)
    assert exchange_seconds(MILLION, cluster) == pytest.approx(0.004)  # 4 MB at 1 GB/s


def test_nodes_exchange_each_gpus_part() -> None:
    cluster = Cluster(gpus=4, gpus_per_node=2, node_gbytes=1.0, network_gbytes=0.5, latency=0.0)
    assert exchange_seconds(MILLION, cluster) == pytest.approx(0.004 + 0.004)


def test_a_training_on_one_gpu_is_its_steps() -> None:
    cost = cost_of_training(0.5, 0.2, 10, MILLION, Cluster(gpus=1), Task(images=7200, epochs=1))
    assert cost.images_per_second == pytest.approx(20)
    assert cost.hours == pytest.approx(0.1)
    assert cost.efficiency == 1


def test_a_long_exchange_is_hidden_behind_the_backward_pass_only() -> None:
    cluster = Cluster(gpus=2, node_gbytes=1.0, latency=0.0)
    cost = cost_of_training(1.0, 0.3, 10, 100 * MILLION, cluster, Task())
    assert cost.exchange_seconds == pytest.approx(0.4)
    assert cost.visible_seconds == pytest.approx(0.4 - 0.2)
    assert cost.step_seconds == pytest.approx(1.2)


def test_the_last_bucket_is_never_hidden() -> None:
    cluster = Cluster(gpus=2, node_gbytes=1.0, latency=0.0)
    cost = cost_of_training(1.0, 0.9, 10, 100 * MILLION, cluster, Task())
    assert cost.visible_seconds == pytest.approx(25 * 2**20 / 1e9)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["scaling_model.py", *map(str, arguments)])
    return scaling_model.main()


def test_without_measurements_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    told = capsys.readouterr().out
    assert "| resnet50 | 25,557,032 | 102 |" in told  # torchvision's count
    assert "Missing: the seconds and memory of a step on one GPU" in told


def test_measured_steps_become_hours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    steps: dict[str, Any] = {
        "plain": {"milliseconds": 100.0, "peak_mib": 2048.0},
        "exact penalty": {"milliseconds": 250.0, "peak_mib": 4096.0},
        "PGD(3)": {"error": "RuntimeError: no"},
    }
    key = "steps/resnet50/bfloat16, channels-last, eager"
    content = {
        "machine": {"device": "Card", "is_tiny": False},
        "finished": {key: {"batch": 64, "steps": steps}},
        "failed": {},
        "left_out": {},
        "attempts": {},
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    options = ("--gpus", 1, "--images", 64 * 3600, "--epochs", 10)
    assert run(monkeypatch, path, *options) == 0
    told = capsys.readouterr().out
    assert "| exact penalty | 250.0 | 250.0 | 100% | 256 | 2.5 | 2 | 4.0 | 2 | 0.03 |" in told
    assert "failed: RuntimeError: no" in told
    assert "Missing: vit-s was not measured" in told


def test_what_cannot_be_read_or_meant_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, tmp_path / "none.json") == 2
    assert "error: cannot read" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, "--gpus", 0)
    assert "expected --gpus above 0, got 0" in capsys.readouterr().err
