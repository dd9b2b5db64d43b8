"""The cost of a step: measured in turn, set beside the printed seconds, compared with none."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from digits_recipe import DIGITS, TINY_SCALE
from made_up_training import made_up_training
from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.experiments import (
    NOT_TRAINED,
    LineChart,
    Network,
    NetworkStore,
    Workbench,
    published_number,
    published_numbers,
    step_times,
)
from steadygrad.experiments.step_times import (
    WARM_UP,
    StepTimes,
    median_interval,
    step_seconds_in_turn,
)
from steadygrad.experiments.yeats2021.training import training_time
from written_results import written_results

EXPERIMENT = training_time(DIGITS, 8)
PRINTED = "supplement_training_seconds_mnist_rtx2070s"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(store=NetworkStore(tmp_path / "networks"), scale=TINY_SCALE, seeds=(3, 4))


class Session:
    """Takes steps of known length on a clock that it shares."""

    device = torch.device("cpu")
    config = SimpleNamespace(batch_size=16)

    def __init__(
        self, clock: list[float], length: Callable[[int], float], train: ImageDataset
    ) -> None:
        self.clock, self.length, self.train = clock, length, train
        self.seen: list[float] = []

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        assert torch.get_num_threads() == 1
        self.clock[0] += self.length(len(self.seen))
        self.seen.append(images.sum().item() + labels.sum().item())


def test_every_session_steps_on_the_same_batches_and_is_timed_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, train = [0.0], load_dataset("digits", "train", limit=40)
    monkeypatch.setattr(step_times.time, "process_time", lambda: clock[0])
    first = Session(clock, lambda step: 1.0 + step, train)
    second = Session(clock, lambda _: 10.0, train)
    threads = torch.get_num_threads()
    seconds = step_seconds_in_turn(cast("Any", [first, second]), rounds=4)
    assert seconds == [tuple(1.0 + WARM_UP + n for n in range(4)), (10.0,) * 4]
    assert first.seen == second.seen
    assert len(set(first.seen)) == 3  # batches of 16, 16 and 8
    assert torch.get_num_threads() == threads


def test_ratios_are_taken_within_a_round() -> None:
    network = DIGITS.plain("real")
    slow, fast = StepTimes(network, (4.0, 9.0, 8.0)), StepTimes(network, (2.0, 3.0, 2.0))
    assert slow.ratios(fast) == (2.0, 3.0, 4.0)
    assert slow.milliseconds == 8000


@pytest.mark.parametrize(("n", "low", "high"), [(2, 1, 2), (6, 1, 6), (10, 2, 9), (30, 10, 21)])
def test_the_medians_interval_has_the_ranks_of_the_sign_test(n: int, low: int, high: int) -> None:
    assert median_interval([float(k) for k in reversed(range(1, n + 1))]) == (low, high)


def test_every_printed_training_time_is_used() -> None:
    paths = EXPERIMENT.printed_paths()
    assert set(paths) == {p for p in published_numbers("yeats2021") if p.startswith(PRINTED)}
    assert len(set(paths)) == len(paths) == 6
    assert EXPERIMENT.networks(TINY_SCALE, (0,)) == ()


def test_all_kinds_of_training_are_timed(bench: Workbench) -> None:
    outcome = EXPERIMENT.measure(bench)
    table = outcome.tables["supplement-training-time"]
    assert [row[0] for row in table.rows] == [
        "real, no defence",
        "real, beta 8",
        "real, PGD(4)-trained at 0.2",
        "real, PGD(8)-trained at 0.2",
        "complex, no defence",
        "complex, beta 8",
        "complex, beta 8, frozen phase",
        "real GELU, no defence",
        "real GELU, beta 8",
    ]
    assert all(float(str(row[1])) > 0 for row in table.rows)
    assert table.rows[0][2] == "1.00"
    real, attacked = (published_number("yeats2021", f"{PRINTED}/real/{name}") for name in
                      ("undefended", "pgd8_trained"))  # fmt: skip
    assert table.rows[3][4:] == (f"{attacked:g}", f"{attacked / real:.2f}")
    assert table.rows[6][4:] == ("", "")
    (chart,) = outcome.charts["supplement-training-time"]
    assert isinstance(chart, LineChart)
    assert len(chart.x_names) == len(chart.series[0].x) == 9
    assert [point.x for point in chart.printed] == [0, 1, 2, 3, 4, 5]
    assert chart.printed[3].y == attacked / real
    assert "processor seconds on one thread" in outcome.caption


def test_seconds_on_other_hardware_are_shown_but_not_compared(bench: Workbench) -> None:
    plain = DIGITS.plain("real", seed=3)
    shrunk = Network(plain.label, TINY_SCALE.shrink(plain.config))
    made_up_training(bench.store, shrunk, [{"seconds": 2.5}])
    compared = EXPERIMENT.measure(bench).compared
    assert tuple(entry.path for entry in compared) == EXPERIMENT.printed_paths()
    assert {entry.verdict for entry in compared} == {"not comparable"}
    ours = {entry.path: entry.ours for entry in compared}
    assert ours.pop(f"{PRINTED}/real/undefended") == 2.5
    assert set(ours.values()) == {None}
    assert compared[0].obstacle == "other hardware"
    assert compared[1].obstacle == f"other hardware; {NOT_TRAINED}"


def test_digits_to_the_folder(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path / "networks")
    folder = written_results(EXPERIMENT, scale=TINY_SCALE, seeds=(0,), store=store, out=tmp_path)
    figure = (folder / "supplement-training-time.svg").read_text()
    assert "time over that of the real network" in figure
    assert "printed in the paper" in figure
    assert "other hardware" in (folder / "comparison.md").read_text()
