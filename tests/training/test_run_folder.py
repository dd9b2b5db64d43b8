"""Laws of steadygrad.training.run_folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steadygrad.covariance import IdentityCovariance, save_covariance
from steadygrad.errors import CheckpointError
from steadygrad.evaluation.judged import load_judged
from steadygrad.parts import with_paths
from steadygrad.reports import load_run
from steadygrad.training import (
    TrainingConfig,
    TrainingResult,
    configuration_digest,
    load_run_model,
    run_config,
    train,
)


def test_a_missing_run_is_one_sentence(tmp_path: Path) -> None:
    for read in (run_config, load_run_model):
        with pytest.raises(CheckpointError, match=r"no run in .*absent: it has no config\.json"):
            read(tmp_path / "absent")


def test_the_folder_of_a_hardening_names_the_run_in_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    for read in (run_config, load_run):
        with pytest.raises(CheckpointError, match=r"the hardened network is in .*/run$"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is damaged"),
        (b"\xff", "is damaged"),
        (b"[" * 100_000, "is damaged: its JSON is nested too deeply"),
        (b"[]", "is damaged: expected a JSON object, got list"),
        (b"{}", "is not the configuration of a run"),
        (b'{"created": "today"}', "is not usable: training needs a value for data and model"),
        (
            b'{"created": "today", "data": "digits", "model": "digits-real", "epochs": 0}',
            "is not usable: expected epochs >= 1, got 0",
        ),
    ],
)
def test_a_bad_configuration_is_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        run_config(tmp_path)


def test_a_run_without_checkpoint_yet_is_one_sentence(run: TrainingResult) -> None:
    (run.folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model file at .*model\.safetensors"):
        load_run_model(run.folder)


def test_the_date_of_creation_survives_resuming(run: TrainingResult) -> None:
    file = run.folder / "config.json"
    values = json.loads(file.read_text()) | {"created": "long ago"}
    file.write_text(json.dumps(values))
    settings = run_config(run.folder).to_dict() | {"epochs": 3}
    train(TrainingConfig.from_dict(settings), run.folder, resume=True)
    after = json.loads(file.read_text())
    assert (after["created"], after["epochs"]) == ("long ago", 3)


@pytest.fixture
def run_of_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Callable[..., TrainingConfig]
) -> Path:
    """A run in a project folder, on images, a penalty and an attack that lie beside it."""
    project = tmp_path / "project"
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)
    for number, image in enumerate(pixels):
        split = "train" if number < 6 else "test"
        place = project / "photos" / split / ("even", "odd")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    save_covariance(project / "cov.safetensors", IdentityCovariance((1, 8, 8)))
    monkeypatch.chdir(project)
    settings = config(
        data="photos",
        penalty="sgr:strength=0.01,covariance=file:cov.safetensors",
        attack="mixture:attack=lrc,attack.eps=0.1,attack.samples=1,"
        "attack.covariance=file:cov.safetensors",
        limit_train=None,
        batch_size=4,
    )
    return train(settings, "run").folder.absolute()


def test_a_run_of_relative_paths_is_used_from_anywhere(
    run_of_relative_paths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(load_judged(run_of_relative_paths, limit=None).images) == 2
    more = replace(run_config(run_of_relative_paths), epochs=3)
    assert train(more, run_of_relative_paths, resume=True).is_finished
    # The same folder is the same data, however it is named.
    elsewhere = replace(more, data="project/photos")
    assert elsewhere == more
    assert configuration_digest(elsewhere) == configuration_digest(more)


def test_a_run_that_kept_relative_paths_is_used_where_they_lead_somewhere(
    run_of_relative_paths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = run_of_relative_paths / "config.json"
    file.write_text(file.read_text().replace(f"{run_of_relative_paths.parent}/", ""))
    assert len(load_judged(run_of_relative_paths, limit=None).images) == 2
    more = replace(run_config(run_of_relative_paths), epochs=3)
    assert train(more, run_of_relative_paths, resume=True).is_finished
    monkeypatch.chdir(tmp_path)
    assert run_config(run_of_relative_paths) == more


def test_a_run_whose_files_were_moved_goes_on_with_them_but_not_with_others(
    run_of_relative_paths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_config(run_of_relative_paths)
    moved = shutil.copytree(tmp_path / "project", tmp_path / "moved")
    monkeypatch.chdir(moved)
    more = replace(with_paths(before, lambda path: moved / path.name), epochs=3)
    with pytest.raises(CheckpointError, match=r"with another attack .*, data .*, penalty"):
        train(more, "run", resume=True)
    shutil.rmtree(tmp_path / "project")
    assert train(more, "run", resume=True).is_finished
    assert run_config("run") == more
