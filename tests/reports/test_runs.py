"""Laws of steadygrad.reports.runs: what a folder says, and what is wrong with one in a sentence."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from steadygrad.errors import CheckpointError
from steadygrad.models import MODELS, ObjectModel, build_model, mac_count, parameter_count
from steadygrad.reports import load_run, load_runs
from steadygrad.training import ModelSpec, TrainingConfig, save_model


def test_everything_in_the_folder_is_there(make_run: Callable[..., Path]) -> None:
    folder = make_run("mine", config={"epochs": 3, "model": "digits-complex"}, seconds=2.0)
    run = load_run(folder)

    stored = json.loads((folder / "evaluations" / "pgd.json").read_text())
    assert run.name == "mine"
    assert run.config == TrainingConfig(
        data="digits",
        model="digits-complex",
        optimizer="sgd:nesterov=true",
        epochs=3,
        device="cpu",
    )
    assert (run.model, run.epochs) == ("digits-complex", 3)
    assert run.provenance["torch"] == "2.13.0"
    assert [epoch.epoch for epoch in run.metrics] == [1, 2, 3]
    assert run.total_seconds == pytest.approx(2.0 * (3 + 0.03))
    assert run.seconds_per_epoch == pytest.approx(2.0 * 1.01)
    assert run.is_finished
    (evaluation,) = run.evaluations
    accuracies = [point.accuracy for point in evaluation.curve.points]
    assert accuracies == [result["accuracy"] for result in stored["results"]]
    survivors = (evaluation.curve.broken_at > stored["results"][5]["eps"]).sum()
    assert survivors == evaluation.curve.points[5].correct
    assert evaluation.gallery is not None
    assert evaluation.gallery.clean.shape == (6, 1, 8, 8)


def test_counts_are_those_of_the_network(make_run: Callable[..., Path]) -> None:
    model = build_model("digits-complex")
    run = load_run(make_run(config={"model": "digits-complex"}))
    assert (run.parameters, run.macs) == (parameter_count(model), mac_count(model, (1, 8, 8)))


def test_counts_of_a_set_without_a_name_come_from_the_weights(
    make_run: Callable[..., Path],
) -> None:
    folder = make_run(config={"data": "folder:my/own/folder"})
    unknown = load_run(folder)
    assert (unknown.parameters, unknown.macs) == (None, None)

    spec = ModelSpec(MODELS.parse("digits-real"), (3, 12, 12), 4)
    save_model(folder / "model.safetensors", spec.build(), spec)
    model = build_model("digits-real", input_shape=(3, 12, 12), num_classes=4)
    known = load_run(folder)
    assert (known.parameters, known.macs) == (parameter_count(model), mac_count(model, (3, 12, 12)))


@pytest.mark.parametrize("has_weights", [True, False])
@pytest.mark.parametrize("text", ["own_networks:build", "smooth:model=callable:own_networks:build"])
def test_a_network_of_own_code_is_neither_run_nor_counted(
    make_run: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    has_weights: bool,
) -> None:
    (tmp_path / "own_networks.py").write_text(
        "from steadygrad.models import build_model\n"
        "def build():\n"
        "    return build_model('digits-real')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = make_run(config={"data": "digits", "model": text})
    if has_weights:
        spec = ModelSpec(MODELS.parse(text), (1, 8, 8), 10)
        save_model(folder / "model.safetensors", spec.build(), spec)
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    run = load_run(folder)
    assert (run.parameters, run.macs) == (None, None)
    assert "own_networks" not in sys.modules


def test_a_network_that_a_program_gave_is_not_counted(make_run: Callable[..., Path]) -> None:
    source = ObjectModel.of(build_model("digits-real"))
    folder = make_run(config={"data": "digits", "model": MODELS.text(source)})
    spec = ModelSpec(source, (1, 8, 8), 10)
    save_model(folder / "model.safetensors", spec.build(), spec)
    assert load_run(folder).parameters is None


def test_counts_are_of_the_images_size_in_the_run(make_run: Callable[..., Path]) -> None:
    config = {"data": "mnist:image_size=16", "model": "yeats2021-mnist-real"}
    run = load_run(make_run(config=config))
    model = build_model("yeats2021-mnist-real", input_shape=(1, 16, 16))
    assert (run.parameters, run.macs) == (parameter_count(model), mac_count(model, (1, 16, 16)))


def test_a_run_of_today_says_what_it_said_in_version_0_1(make_run: Callable[..., Path]) -> None:
    flat = {"penalty": "l1", "strength": 0.02, "model": "digits-complex", "nesterov": True}
    nested = {"data": "digits", "model": "digits-complex", "penalty": "squared-norm:strength=0.02"}
    old, new = load_run(make_run("old", config=flat)), load_run(make_run("new", config=nested))
    assert old.config == new.config


def test_loading_leaves_torchs_random_state_alone(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    before = torch.get_rng_state()
    load_run(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unfinished_run_is_loaded_as_far_as_it_got(make_run: Callable[..., Path]) -> None:
    run = load_run(make_run(config={"epochs": 9}, epochs_done=2))
    assert not run.is_finished
    assert len(run.metrics) == 2
    assert run.evaluations


def test_a_run_evaluated_before_its_first_epoch_ended_has_no_times(
    make_run: Callable[..., Path],
) -> None:
    folder = make_run()
    (folder / "metrics.jsonl").unlink()
    run = load_run(folder)
    assert (run.metrics, run.total_seconds, run.seconds_per_epoch) == ((), None, None)


def test_runs_of_one_name_are_told_apart_by_their_folders(make_run: Callable[..., Path]) -> None:
    paths = [make_run("seed0/mnist"), make_run("seed1/mnist"), make_run("other")]
    assert [run.name for run in load_runs(paths)] == ["seed0/mnist", "seed1/mnist", "other"]


def test_names_hold_nothing_that_cannot_be_printed(make_run: Callable[..., Path]) -> None:
    assert load_run(make_run("a\x1b[31m\udcffb\nc")).name == "a\ufffd[31m?b\ufffdc"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no run at .*absent: there is no such folder"):
        load_run(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"no run in .*: it has no config\.json"):
        load_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"expected the folder of a run, but .* is a file"):
        load_run(tmp_path / "file")


def test_a_run_without_evaluation_names_the_command_that_makes_one(
    make_run: Callable[..., Path],
) -> None:
    folder = make_run(config={"epochs": 9}, epochs_done=2)
    (folder / "evaluations" / "pgd.json").unlink()
    command = rf"`steadygrad evaluate {folder} --attack pgd --eps 0:0\.3:0\.02`"
    with pytest.raises(CheckpointError, match=rf"\(unfinished: 2 of 9 epochs\) .*{command}"):
        load_run(folder)


def test_the_command_names_own_code_its_weights_and_the_folder_of_the_result(
    make_run: Callable[..., Path],
) -> None:
    folder = make_run(config={"data": "digits", "model": "own_networks:build,width=2"})
    (folder / "evaluations" / "pgd.json").unlink()
    words = (
        f"own_networks:build,width=2 --weights {folder}/model.safetensors --dataset digits "
        f"--out {folder} --attack pgd"
    )
    with pytest.raises(CheckpointError, match=re.escape(f"`steadygrad evaluate {words}")):
        load_run(folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", "{", "config.json is damaged: not valid JSON"),
        ("config.json", "[" * 100_000, "config.json is damaged"),
        ("config.json", "[]", "config.json is damaged: expected a JSON object, got list"),
        ("config.json", '{"dataset": "digits", "model": "m"}', "is not the configuration of a run"),
        ("config.json", '{"data": "digits", "model": "m", "created": 0}', "unknown model 'm'"),
        ("metrics.jsonl", '{"epoch": 1', r"line 1 of .*metrics.jsonl is damaged: not valid JSON"),
        ("metrics.jsonl", '{"epoch": 1}', "line 1 of .* is damaged: it has no 'steps'"),
        ("evaluations/pgd.json", "{", "pgd.json"),
        ("evaluations/pgd.json", "[]", "pgd.json"),
        ("evaluations/pgd.safetensors", "not tensors", r"pgd\.safetensors is damaged"),
        ("model.safetensors", "not tensors", "model.safetensors is damaged"),
    ],
)
def test_damaged_files_are_named(
    make_run: Callable[..., Path], file: str, text: str, message: str
) -> None:
    folder = make_run()
    (folder / file).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_run(folder)


def test_bytes_that_are_no_text_are_damage(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    (folder / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(CheckpointError, match="it is not UTF-8 text"):
        load_run(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dataset", {"name": "digits", "split": "test", "n": 7, "note": ""}, "n = 7 for 360"),
        ("dataset", {"name": "digits", "n": 360}, "its data set has no 'split'"),
        ("attack", {"steps": 8}, "its attack has no name"),
        ("attack", {"name": "pgd", "target": []}, r"its attack's target is \[\]"),
        ("attack", {"name": "pgd", "step_size": "x"}, "its attack's step_size is 'x'"),
        ("results", [{"eps": 0, "accuracy": 1.5, "n": 360}], "an accuracy of 1.5 at eps 0"),
        (
            "results",
            [{"eps": eps, "accuracy": 1, "n": 360} for eps in (0.1, 0)],
            "its eps do not ascend",
        ),
    ],
)
def test_evaluations_that_cannot_be_true_are_refused(
    make_run: Callable[..., Path], key: str, value: object, message: str
) -> None:
    folder = make_run()
    path = folder / "evaluations" / "pgd.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match=message):
        load_run(folder)


def test_metrics_count_epochs_from_one(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(CheckpointError, match="one line per epoch, counted from 1"):
        load_run(folder)
