"""`steadygrad covariance`: what it writes, that others read it, and what it refuses."""

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch

from program import TINY, Program
from steadygrad.cli import main
from steadygrad.covariance import (
    DenseCovariance,
    RadialCovariance,
    StationaryCovariance,
    load_covariance,
)
from steadygrad.datasets import load_dataset
from steadygrad.training import load_run_model

FIGURES = ("functions", "matrices", "noise", "softmax-lines")


@pytest.fixture(scope="session")
def analysed(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the program wrote for FGSM perturbations of 60 images; it printed covariance.json."""
    out = tmp_path_factory.mktemp("covariance") / "fgsm"
    command = ("covariance", trained_run, "--attack", "fgsm:eps=0.1", "--limit", 60)
    command += ("--decay-lengths", "1,4")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", ["steadygrad", *map(str, command), "--out", str(out), "--json"])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    assert json.loads(printed.getvalue()) == json.loads((out / "covariance.json").read_text())
    return out


def test_help_has_an_example(program: Program) -> None:
    outcome = program("covariance", "--help")
    assert outcome.code == 0
    assert "Example: steadygrad covariance" in " ".join(outcome.out.split())


def test_the_folder_holds_files_figures_numbers_and_a_page(analysed: Path) -> None:
    expected = {"covariance.json", "index.html"}
    expected |= {f"{kind}.safetensors" for kind in ("dense", "radial", "stationary")}
    expected |= {f"{stem}.{suffix}" for stem in FIGURES for suffix in ("png", "svg")}
    assert {path.name for path in analysed.iterdir()} == expected
    page = (analysed / "index.html").read_text()
    assert page.count("<svg") == len(FIGURES)
    assert "FGSM perturbations of eps 0.1 on 60 test images of digits" in page
    # Digits have black borders, which FGSM can only brighten.
    shift = json.loads((analysed / "covariance.json").read_text())["perturbations"]["shift"]
    assert shift > 0.1
    assert (
        f"{100 * shift:.1f}\u00a0% of the perturbations&#39; second moments are their mean" in page
    )
    # Self-contained: nothing is loaded from anywhere.
    assert not re.search(r'(src|href)="(?!#|data:)', page)


def test_the_numbers_are_those_of_an_own_computation(analysed: Path, trained_run: Path) -> None:
    model = load_run_model(trained_run).model
    images = load_dataset("digits", "test", limit=60).images().requires_grad_()
    logits = model(images)
    away = torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1), reduction="sum")
    (gradient,) = torch.autograd.grad(away, images)
    clean = images.detach()
    added = (clean + 0.1 * gradient.sign()).clamp(0, 1) - clean
    rows = added.flatten(start_dim=1).double()
    matrix = rows.T @ rows / len(rows)

    record = json.loads((analysed / "covariance.json").read_text())
    assert record["attack"]["name"] == "fgsm"
    assert (record["run"], record["model"]) == ("digits", "digits-complex")
    assert record["perturbations"]["count"] == record["dataset"]["n"] == 60
    deviation = record["perturbations"]["pixel_standard_deviation"]
    assert deviation == pytest.approx(matrix.diagonal().mean().sqrt().item(), rel=1e-5)
    matrix = matrix / matrix.diagonal().mean()
    # The function at distance 1: the mean over all pairs of neighbours, across and down.
    square = matrix.view(8, 8, 8, 8)
    beside = torch.stack([square[y, x, y, x + 1] for y in range(8) for x in range(7)])
    below = torch.stack([square[y, x, y + 1, x] for y in range(7) for x in range(8)])
    diagonal = torch.stack([square[y, x, y + 1, x + 1] for y in range(7) for x in range(7)])
    other = torch.stack([square[y, x + 1, y + 1, x] for y in range(7) for x in range(7)])
    near = torch.cat((beside, below, diagonal, other)).mean().item()  # sqrt(2) rounds to 1
    (function,) = record["perturbations"]["intra_channel"]["functions"]
    assert function[:2] == pytest.approx([1, near], abs=1e-5)

    kinds = (DenseCovariance, RadialCovariance, StationaryCovariance)
    for name, kind in zip(("dense", "radial", "stationary"), kinds, strict=True):
        covariance = load_covariance(analysed / record["files"][name]["file"])
        assert type(covariance) is kind
        assert covariance.mean_diagonal == pytest.approx(1, abs=1e-6)
        assert torch.linalg.eigvalsh(covariance.dense()).min() > -1e-5
    torch.testing.assert_close(
        load_covariance(analysed / "dense.safetensors").dense(), matrix, rtol=0, atol=1e-5
    )
    repair = record["files"]["radial"]["repair"]
    assert repair["smallest_eigenvalue"] < 0
    assert repair["change"] > 0


@pytest.mark.parametrize("kind", ["dense", "radial", "stationary"])
def test_evaluate_and_train_read_the_files(
    program: Program, analysed: Path, trained_run: Path, tmp_path: Path, kind: str
) -> None:
    file = analysed / f"{kind}.safetensors"
    attacked = program(
        *("evaluate", trained_run, "--attack", "lrc:samples=2", "--covariance", file),
        *("--eps", "0,0.3", "--limit", 10, "--json"),
    )
    assert attacked.code == 0, attacked.err
    assert kind in json.loads(attacked.out)["attack"]["covariance"]["file"]
    trained = program(
        *("train", *TINY, "--model", "digits-real", "--out", tmp_path / "run"),
        *("--penalty", f"sgr:strength=0.1,covariance=file:{file}"),
    )
    assert trained.code == 0, trained.err


def test_it_prints_the_reach_and_what_comes_next(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    command = ("covariance", trained_run, "--limit", 20, "--out", tmp_path / "out")
    command += ("--decay-lengths", 3)
    outcome = program(*command, "--attack", "pgd:steps=2,eps=8/255")
    assert outcome.code == 0, outcome.err
    assert "PGD(2), eps 8/255 on 20 test images of digits, seed 0" in outcome.out
    record = json.loads((tmp_path / "out/covariance.json").read_text())
    for kind in ("perturbations", "data"):
        length = record[kind]["intra_channel"]["decay_length"]
        assert f"{length:.1f}\u00a0px" in outcome.out
    assert "note: " in outcome.err
    assert "are their mean" in outcome.err
    assert "index.html" in outcome.err
    assert f"next: steadygrad evaluate {trained_run} --attack lrc --covariance" in outcome.err
    same = ("--dataset", "digits:limit=30", "--data-dir", tmp_path)
    named = program(*command, "--attack", "pgd:steps=2,eps=8/255", *same)
    assert named.code == 0, named.err
    words = f"--dataset digits:limit=30 --data-dir {tmp_path} --attack lrc --covariance"
    assert f"next: steadygrad evaluate {trained_run} {words}" in named.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--attack", "cw"), "unknown attack 'cw'; choose one of"),
        (("--attack", "deepfool:eps=0.1"), "attack deepfool has no setting 'eps'"),
        (("--attack", "fgsm:steps=3"), "attack fgsm has no setting 'steps'"),
        (("--attack", "pgd:eps=8"), "got 8.0; did you mean 8/255?"),
        (("--attack", "pgd:eps=0"), "eps > 0"),
        (("--attack", "pgd:steps=0"), "steps >= 1, got 0"),
        (("--decay-lengths", "1,0"), "decay_length > 0 pixels, got 0"),
        (("--noise-eps", 2), "eps in [0, 1], got 2.0"),
        (("--line-eps", 0), "eps > 0"),
        (("--limit", 0), "at least 1 image, got 0"),
        (("--batch-size", 0), "batch_size >= 1, got 0"),
        (("--split", "validation"), "trained without a validation split"),
        (("--device", "tpu9"), "tpu9"),
    ],
)
def test_bad_settings_end_in_one_sentence(
    program: Program,
    trained_run: Path,
    tmp_path: Path,
    options: tuple[object, ...],
    message: str,
) -> None:
    out = tmp_path / "out"
    outcome = program("covariance", trained_run, *options, "--out", out)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert not out.exists()


def test_bad_lists_folders_and_runs(
    program: Program, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("covariance", trained_run, "--limit", 5)
    typed = program(*command, "--decay-lengths", "1,x", "--out", tmp_path / "out")
    assert (typed.code, typed.out) == (2, "")
    assert "expected decay lengths such as 8 or 1,2,4, got '1,x'" in typed.err
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    for out in (blocker, blocker / "inside"):
        refused = program(*command, "--out", out)
        assert refused.code == 2
        assert f"error: cannot write {out}" in refused.err
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
        refused = program(*command, "--out", tmp_path)
    assert refused.code == 2 and f"cannot write {tmp_path}: it is read-only here" in refused.err
    alone = program("covariance", trained_run, "--limit", 1, "--out", tmp_path / "one")
    assert alone.code == 2
    assert "error: expected at least 2 images" in alone.err
    missing = program("covariance", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert missing.code == 2
    assert "expected the folder of a run at" in missing.err
