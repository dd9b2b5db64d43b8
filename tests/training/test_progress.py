"""Laws of steadygrad.training.progress."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from steadygrad import progress_lines
from steadygrad.training import (
    EpochMetrics,
    LineProgress,
    SilentProgress,
    StepMetrics,
    TerminalProgress,
    TrainingResult,
    console_progress,
)

STEP = StepMetrics(loss=1.0, data_loss=0.75, penalty=0.25, correct=1, images=2)
EPOCH = EpochMetrics(
    epoch=2,
    steps=5,
    learning_rate=0.1,
    loss=1.0,
    data_loss=0.75,
    penalty=0.25,
    train_accuracy=0.5,
    validation_accuracy=0.6,
    update_similarity=0.7,
    seconds=3.0,
    images=10,
)


def test_a_log_file_gets_one_line_an_epoch() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.start(epochs=3, steps_per_epoch=5, epoch=2, step=1)
    progress.step(2, 2, STEP)
    progress.epoch(EPOCH)
    progress.epoch(replace(EPOCH, penalty=0.0, validation_accuracy=None, update_similarity=None))
    progress.message("done")
    progress.finish()
    full, bare, message = stream.getvalue().splitlines()
    for part in ("epoch 2/3", "loss 0.7500", "penalty 0.2500", "validation accuracy 0.6000"):
        assert part in full
    assert "penalty" not in bare
    assert "validation" not in bare
    assert message == "done"


def test_a_long_epoch_in_a_log_file_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_lines, "FIRST_PAUSE", 0.0)
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.start(epochs=4, steps_per_epoch=5, epoch=3, step=1)
    progress.step(3, 2, STEP)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("training: 60 %, about ") and line.endswith(" left, loss 0.750")


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    progress.start(epochs=3, steps_per_epoch=5, epoch=2, step=1)
    progress.step(2, 2, STEP)
    task = progress._bar.tasks[0]
    assert (task.completed, task.total, task.fields["epoch"]) == (7, 15, 2)
    assert task.fields["losses"] == "loss 0.750 + penalty 0.250"
    progress.epoch(EPOCH)
    progress.message("[not markup]")
    progress.finish()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 2/3" in captured.err
    assert "[not markup]" in captured.err


def test_what_is_shown_depends_on_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_terminal, kind in ((True, TerminalProgress), (False, LineProgress)):
        monkeypatch.setattr("sys.stderr.isatty", lambda answer=is_terminal: answer)
        assert type(console_progress()) is kind


def test_silence_is_silent(run: TrainingResult, capfd: pytest.CaptureFixture[str]) -> None:
    progress = SilentProgress()
    progress.start(epochs=3, steps_per_epoch=5, epoch=1, step=0)
    progress.step(1, 1, STEP)
    progress.epoch(EPOCH)
    progress.message("hello")
    progress.finish()
    assert Path(run.folder).is_dir()
    assert capfd.readouterr() == ("", "")
