"""The folder of an analysis where images are too large for a matrix, or it cannot be written."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from steadygrad.covariance import load_covariance
from steadygrad.datasets import ImageDataset
from steadygrad.errors import OutputError
from steadygrad.evaluation import AnalysisSettings, CovarianceAnalysis, analyse_perturbations
from steadygrad.folder_lock import only_writer
from steadygrad.reports import covariance
from steadygrad.reports.covariance import length_text, write_covariance_analysis

ABOUT = {"run": "<net>", "model": "linear"}


@pytest.fixture(scope="module")
def large() -> CovarianceAnalysis:
    """Of images 1x96x96: a dense matrix would have 85 million entries."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (6, 1, 96, 96), generator=generator, dtype=torch.uint8)
    data = ImageDataset("large", "test", pixels, torch.arange(6) % 2, ("a", "b"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(9, 2)).eval()
    return analyse_perturbations(
        model, data, AnalysisSettings(attack="deepfool", decay_lengths=(2,), noise_eps=0.1)
    )


def test_large_images_have_no_dense_file_and_the_page_says_so(
    large: CovarianceAnalysis, tmp_path: Path
) -> None:
    (tmp_path / "dense.safetensors").write_text("of an earlier analysis of smaller images")
    record = write_covariance_analysis(large, tmp_path, about=ABOUT)
    assert record == json.loads((tmp_path / "covariance.json").read_text())
    assert "9,216 pixels would take 1 GB" in record["no_dense"]
    assert (record["attack"]["name"], record["attack"]["steps"]) == ("deepfool", 100)
    assert "eps" not in record["attack"]
    assert (
        "DeepFool perturbations on 6 test images of large" in (tmp_path / "index.html").read_text()
    )
    assert set(record["files"]) == {"stationary", "radial"}
    assert not (tmp_path / "dense.safetensors").exists()
    assert not (tmp_path / "matrices.png").exists()
    page = (tmp_path / "index.html").read_text()
    assert "9,216 pixels would take 1 GB" in page
    assert "DeepFool perturbations on 6 test images of large" in page
    assert "&lt;net&gt;" in page
    assert load_covariance(tmp_path / "stationary.safetensors").image_shape == (1, 96, 96)


def test_a_folder_that_cannot_be_made(large: CovarianceAnalysis, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        write_covariance_analysis(large, blocker, about=ABOUT)
    assert blocker.read_text() == "in the way"


def test_a_folder_holds_no_record_of_other_covariances_after_an_interruption(
    large: CovarianceAnalysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_covariance_analysis(large, tmp_path, about=ABOUT)
    (tmp_path / "matrices.png").write_text("of an earlier analysis of smaller images")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(covariance, "save_covariance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_covariance_analysis(large, tmp_path, about=ABOUT)
    left = {path.name for path in tmp_path.iterdir()}
    assert "stationary.safetensors" in left
    assert left.isdisjoint({"covariance.json", "index.html", "matrices.png"})


def test_two_processes_do_not_mix_their_analyses(large: CovarianceAnalysis, tmp_path: Path) -> None:
    with only_writer(tmp_path), pytest.raises(OutputError, match="another process is writing"):
        write_covariance_analysis(large, tmp_path, about=ABOUT)
    assert not list(tmp_path.iterdir())


def test_decay_lengths_in_words() -> None:
    assert length_text(0.84, 31) == "0.8\u00a0px"
    assert length_text(float("inf"), 31) == "above 31\u00a0px"
    assert length_text(None, 31) == "–"
