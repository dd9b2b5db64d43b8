"""Every command once, on tiny data, as a user types it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import steadygrad
from program import TINY, Program, replaced
from steadygrad.cli.commands import SUMMARIES
from steadygrad.covariance import ExponentialCovariance, save_covariance
from steadygrad.datasets import HorizontalFlip, UniformNoise, dataset_names
from steadygrad.models import model_names
from steadygrad.penalties import SquaredNormPenalty
from steadygrad.training import ClipNorm, run_config


@pytest.mark.parametrize("command", sorted(SUMMARIES.keys() - {"experiment"}))
def test_help_has_an_example(program: Program, command: str) -> None:
    outcome = program(command, "--help")
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert re.search(f"Examples?: steadygrad {command} ", said + " ")


@pytest.mark.parametrize("command", ["evaluate", "audit", "transfer"])
def test_help_offers_no_attack_that_the_command_refuses(program: Program, command: str) -> None:
    said = program(command, "--help").out
    assert "fgsm" in said
    assert "deepfool" not in said and "mixture" not in said
    assert ("sparse-l1" in said) == (command != "audit")


def test_the_installed_program_knows_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "steadygrad", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, steadygrad.__version__)


def test_train_writes_a_run_folder(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "run"
    outcome = program(
        "train", *TINY, "--model", "digits-complex:second_order=frozen_phase",
        "--penalty", "squared-norm:strength=0.01", "--ramp", "ramp:0.5",
        "--augment", "flip", "--augment", "uniform:0.1", "--schedule", "multi-step:1+2",
        "--averaging", "ema:0.9", "--clipping", "norm:5", "--loss", "cross-entropy:smoothing=0.1",
        "--update-similarity", "--validation-size", 100, "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert "epoch 1/1" in outcome.err
    config = json.loads((out / "config.json").read_text())
    assert config["penalty"]["strength"] == 0.01
    assert config["schedule"]["at"] == [1, 2]
    assert [step["name"] for step in config["augmentation"]] == ["flip", "uniform"]
    assert config["loss"] == {"name": "cross-entropy", "smoothing": 0.1, "class_weights": None}
    (metrics,) = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    assert metrics["penalty"] > 0
    assert -1 <= metrics["update_similarity"] <= 1
    assert 0 <= metrics["validation_accuracy"] <= 1
    assert 0 <= metrics["raw_validation_accuracy"] <= 1
    assert (out / "model.safetensors").exists()
    assert (out / "raw_model.safetensors").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--attack", "pgd:eps=8/255,steps=2"),
        ("--attack", "mixture:attack=fgsm,attack.eps=0.1,fraction=0.5"),
        (
            "--penalty",
            "squared-norm:strength=0.1,norm=l2,backend=finite-difference,backend.order=2",
        ),
        ("--penalty", "gn:strength=0.1"),
        (
            "--penalty",
            "sgr:strength=0.0025,covariance=stationary,covariance.source=fgsm,"
            "covariance.decay=0.1,covariance.every=2",
        ),
        ("--penalty", "sgr:strength=0.1,covariance=exponential:2"),
        (
            *("--penalty", "squared-norm:strength=0.1,norm=linf"),
            *("--optimizer", "adam", "--augment", "crop:1"),
        ),
    ],
    ids=["pgd", "fgsm-mixture", "finite-difference", "gn", "sgr", "sgr-fixed", "adam"],
)
def test_every_kind_of_training_runs(
    program: Program, tmp_path: Path, options: tuple[object, ...]
) -> None:
    outcome = program("train", *TINY, "--model", "digits-gelu", *options, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err


def test_a_configuration_file_gives_settings_that_flags_override(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'data = "digits"\nmodel = "digits-real"\nlimit_train = 64\nepochs = 3\nseed = 5\n'
        'augmentation = ["flip"]\n'
    )
    out = tmp_path / "run"
    assert program("train", "--config", file, "--epochs", 1, "--out", out).code == 0
    config = json.loads((out / "config.json").read_text())
    assert (config["epochs"], config["seed"], config["limit_train"]) == (1, 5, 64)
    assert config["augmentation"] == [{"name": "flip"}]
    bare = tmp_path / "bare"
    again = program("train", "--config", file, "--epochs", 1, "--augment", "none", "--out", bare)
    assert again.code == 0, again.err
    assert json.loads((bare / "config.json").read_text())["augmentation"] == []


def test_a_recipe_is_laid_over_a_file_and_other_options_over_it(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'data = "digits"\nmodel = "digits-gelu"\nlimit_train = 64\nepochs = 1\noptimizer = "adam"\n'
        'penalty = "norm:eps=0.3"\nclipping = "value:1"\naugmentation = ["flip", "uniform:0.1"]\n'
    )
    command = (
        "train",
        "--recipe",
        "wide-noise:0.1",
        "--clipping",
        "norm:1",
        "--out",
        tmp_path / "a",
    )
    told = program(*command, "--config", file)
    assert told.code == 0, told.err
    config = run_config(tmp_path / "a")
    assert config.penalty == SquaredNormPenalty(strength=0.03)
    assert (config.epochs, config.optimizer.learning_rate) == (1, 0.02)
    assert config.clipping == ClipNorm(length=1.0)
    assert config.augmentation == (HorizontalFlip(), UniformNoise(0.15))
    # The stored settings are such a file, too.
    assert program(*command, "--resume").code == 0
    assert run_config(tmp_path / "a") == config


def test_resume_goes_on_and_overwrite_starts_anew(program: Program, tmp_path: Path) -> None:
    command = ("train", *TINY, "--model", "digits-real", "--out", tmp_path / "run")
    assert program(*command).code == 0
    refused = program(*command)
    assert refused.code == 2
    assert "is not empty" in refused.err
    longer = program(*replaced(command, ("--epochs", 2)), "--resume")
    assert longer.code == 0, longer.err
    metrics = tmp_path / "run/metrics.jsonl"
    assert len(metrics.read_text().splitlines()) == 2
    known = program("train", "--resume", "--epochs", 3, "--out", tmp_path / "run")
    assert known.code == 0, known.err
    assert len(metrics.read_text().splitlines()) == 3
    assert program(*command, "--overwrite").code == 0
    assert len(metrics.read_text().splitlines()) == 1


def test_evaluate_prints_a_table_and_stores_it(program: Program, trained_run: Path) -> None:
    outcome = program("evaluate", trained_run, "--attack", "fgsm", "--eps", "0,0.1", "--limit", 20)
    assert outcome.code == 0, outcome.err
    assert "on 20 images" in outcome.out
    assert "95 % interval" in outcome.out
    stored = list((trained_run / "evaluations").glob("fgsm*.json"))
    assert len(stored) == 1


def test_evaluate_measures_in_l2_with_radii_beyond_1(program: Program, trained_run: Path) -> None:
    attack = "pgd:norm=l2,loss=margin,target=least-likely,reach=2,steps=2"
    outcome = program("evaluate", trained_run, "--attack", attack, "--limit", 20)
    assert outcome.code == 0, outcome.err
    assert "least-likely-class L2 PGD(2), margin loss on 20 images" in outcome.out
    (stored,) = (
        record
        for path in (trained_run / "evaluations").glob("pgd*.json")
        if (record := json.loads(path.read_text()))["attack"]["norm"] == "l2"
    )
    assert stored["results"][-1]["eps"] == 3
    assert [stored["attack"][name] for name in ("loss", "target", "reach")] == [
        "margin",
        "least-likely",
        2.0,
    ]


def test_evaluate_json_is_all_there_is_on_standard_output(
    program: Program, trained_run: Path
) -> None:
    outcome = program(
        "evaluate",
        trained_run,
        "--eps",
        "0:0.2:0.1",
        "--attack",
        "pgd:steps=2",
        "--limit",
        20,
        "--json",
    )
    printed = json.loads(outcome.out)
    assert set(printed) == {"attack", "results", "mean_accuracy", "mean_accuracy_ci95"}
    assert (printed["attack"]["name"], printed["attack"]["steps"]) == ("pgd", 2)
    assert [result["eps"] for result in printed["results"]] == [0.0, 0.1, 0.2]
    for result in printed["results"]:
        low, high = result["ci95"]
        assert result["n"] == 20
        assert 0 <= low <= result["accuracy"] <= high <= 1


@pytest.mark.parametrize("search", ["sweep", "continued", "bisection", "separate"])
def test_every_search_gives_the_same_clean_accuracy(
    program: Program, trained_run: Path, search: str
) -> None:
    outcome = program(
        "evaluate", trained_run, "--eps", "0,0.1", "--limit", 20, "--search", search, "--json"
    )
    first = json.loads(outcome.out)["results"][0]
    reference = program("evaluate", trained_run, "--eps", "0", "--limit", 20, "--json")
    assert first == json.loads(reference.out)["results"][0]


def test_compare_writes_one_page(program: Program, trained_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    outcome = program("compare", trained_run, "--out", page)
    assert outcome.code == 0, outcome.err
    assert "digits-complex" in page.read_text()


def test_models_and_datasets_list_every_name(program: Program) -> None:
    models = json.loads(program("models", "--json").out)
    assert [row["name"] for row in models] == list(model_names())
    sets = json.loads(program("datasets", "--json").out)
    assert [row["name"] for row in sets] == list(dataset_names())
    assert "yeats2021-mnist-complex" in program("models").out
    assert "svhn_10k" in program("datasets").out


@pytest.mark.parametrize("penalty", ["gn", "sgr"])
def test_a_lambda_of_the_paper_is_twice_the_strength(
    program: Program, tmp_path: Path, penalty: str
) -> None:
    out = tmp_path / "run"
    outcome = program(
        "train", *TINY, "--model", "digits-real", "--penalty", penalty,
        "--paper-lambda", 0.005, "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "lambda 0.005 of Roth et al. is strength 0.0025 (lambda / 2)" in outcome.err
    config = json.loads((out / "config.json").read_text())
    assert (config["penalty"]["name"], config["penalty"]["strength"]) == (penalty, 0.0025)


def test_noise_of_every_covariance(program: Program, trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    shutil.rmtree(run / "evaluations")
    files = [tmp_path / folder / "sigma.safetensors" for folder in "ab"]
    for file, length in zip(files, (1.0, 4.0), strict=True):
        file.parent.mkdir()
        save_covariance(file, ExponentialCovariance((1, 8, 8), length))
    evaluate = ("evaluate", run, "--eps", "0:0.7:0.35", "--limit", 20)
    attacks = []
    for options in (
        ("lrc:samples=5,covariance=exponential:4",),
        ("lrc:samples=5,covariance=exponential:4,covariance.inter_channel=0.2",),
        ("lrc:samples=5", "--covariance", "dataset"),
        ("lrc:samples=5", "--covariance", files[0]),
        ("lrc:samples=5", "--covariance", files[1]),
    ):
        outcome = program(*evaluate, "--json", "--attack", *options)
        assert outcome.code == 0, outcome.err
        printed = json.loads(outcome.out)
        attacks.append(printed)
        assert [result["eps"] for result in printed["results"]] == [0.0, 0.35, 0.7]
    names = [attack["attack"].get("covariance") for attack in attacks]
    assert names[:2] == ["exponential:4", "exponential:4,inter_channel=0.2"]
    assert names[2] == {"dataset": "digits", "n": 128}
    assert names[3]["file"] == names[4]["file"] == "sigma.safetensors"
    assert names[3]["digest"] != names[4]["digest"]
    # A file of the function is the function: the same draws, the same accuracies.
    assert attacks[4]["results"] == attacks[0]["results"]
    assert len(list((run / "evaluations").glob("lrc*.json"))) == len(attacks)

    assert program(*evaluate, "--attack", "white-noise:samples=5").code == 0
    page = tmp_path / "report.html"
    assert program("compare", run, "--out", page).code == 0
    text = page.read_text()
    assert "LRC noise (decay length 4), worst of 5" in text
    assert "LRC noise (covariance of 128 training images of digits), worst of 5" in text
    assert "eps is its standard deviation" in text
