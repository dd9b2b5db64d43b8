"""Images that a network was trained on before are told of where it is measured on them."""

from pathlib import Path
from typing import Any

import pytest

from steadygrad.datasets import load_dataset
from steadygrad.hardening import harden
from steadygrad.hardening.seen_images import count_seen, held_out_before
from steadygrad.markdown_text import markdown_text
from steadygrad.models import ModelSource, RunModel, Smooth
from steadygrad.training import TrainingConfig, train

TRAIN: dict[str, Any] = {
    "data": "digits",
    "model": "digits-gelu",
    "epochs": 1,
    "device": "cpu",
    "optimizer": "adam:learning_rate=0.005",
}


@pytest.fixture
def everything(tmp_path: Path) -> RunModel:
    """A run that held nothing out."""
    train(TrainingConfig(**TRAIN), tmp_path / "everything")
    return RunModel(path=tmp_path / "everything")


@pytest.fixture
def part(tmp_path: Path) -> RunModel:
    """A run that held out 100 images."""
    train(TrainingConfig(**TRAIN, validation_size=100), tmp_path / "part")
    return RunModel(path=tmp_path / "part")


def test_seen_images_are_counted_exactly(everything: RunModel, part: RunModel) -> None:
    ours, more = (load_dataset("digits", "validation", validation_size=n) for n in (100, 150))
    assert count_seen(everything, ours) == 100
    assert count_seen(Smooth(model=everything), ours) == 100
    assert count_seen(part, ours) == 0
    own = {row.numpy().tobytes() for row in ours.pixels}
    fresh = sum(row.numpy().tobytes() in own for row in more.pixels)
    assert count_seen(part, more) == 150 - fresh
    assert count_seen(everything, load_dataset("digits", "test")) == 0


def test_the_cut_of_the_run_before_is_kept(everything: RunModel, part: RunModel) -> None:
    assert held_out_before(part, "digits") == 100
    assert held_out_before(everything, "digits") == 0
    assert held_out_before(part, "mnist") == 0


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_report_on_seen_images_says_so(
    request: pytest.FixtureRequest, tmp_path: Path, is_seen: bool
) -> None:
    source: ModelSource = request.getfixturevalue("everything" if is_seen else "part")
    done = harden(
        source,
        "digits",
        eps=0.1,
        epochs=1,
        audited=False,
        out=tmp_path / "hardened",
        limit_train=64,
        device="cpu",
    )
    assert done.report is not None
    page = (done.folder / "report.md").read_text()
    card = (done.folder / "export" / "hub" / "README.md").read_text()
    assert page.startswith(f"# {markdown_text(done.report.model)}, hardened for eps 25.5/255")
    for text in (page, card):
        assert ("had been trained on" in text) == is_seen
    assert done.report.data["n"] == (143 if is_seen else 100)
    assert bool(done.report.to_json()["caution"]) == is_seen


def test_no_image_that_is_reported_on_was_trained_on(tmp_path: Path) -> None:
    done = harden(
        "digits-gelu",
        "digits",
        eps=0.1,
        epochs=1,
        audited=False,
        out=tmp_path / "hardened",
        validation_size=30,
        device="cpu",
    )
    assert done.report is not None and done.report.data["n"] == 30
    reported = load_dataset("digits", "validation", validation_size=30)
    assert count_seen(RunModel(path=done.folder / "run"), reported) == 0
