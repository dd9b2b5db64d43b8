"""evaluate, margin, transfer, covariance and check-model of a model from outside."""

import json
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from program import Program
from steadygrad.training import SilentProgress, StepMetrics, run_config

FEW = ("--dataset", "digits", "--limit", 12)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "foreign_networks.py").write_text(
        "import torch\n"
        "def build(seed: int = 0):\n"
        "    torch.manual_seed(seed)\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8),\n"
        "        torch.nn.GELU(), torch.nn.Linear(8, 10))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "foreign_networks", raising=False)
    return "foreign_networks:build"


def test_evaluate_prints_and_stores_where_it_is_told(
    program: Program, outside: str, tmp_path: Path
) -> None:
    plain = program("evaluate", outside, *FEW, "--attack", "pgd:steps=2", "--eps", "0,0.1")
    assert plain.code == 0, plain.err
    assert f"{outside}: PGD" in plain.out and "stored in" not in plain.err
    out = tmp_path / "results"
    kept = program("evaluate", outside, *FEW, "--attack", "fgsm", "--eps", "0.1", "--out", out)
    assert kept.code == 0, kept.err
    (path,) = (out / "evaluations").glob("fgsm-digits-test-12-*.json")
    record = json.loads(path.read_text())
    assert (record["model"], len(record["model_digest"])) == (outside, 64)


def test_margin_of_a_model_from_outside(program: Program, outside: str, tmp_path: Path) -> None:
    done = program("margin", outside, *FEW, "--out", tmp_path / "results")
    assert done.code == 0, done.err
    assert "deepfool on 12 images" in done.out
    assert list((tmp_path / "results/evaluations/margins").glob("*.json"))


def test_transfer_between_a_run_and_a_model_from_outside(
    program: Program, outside: str, trained_run: Path, tmp_path: Path
) -> None:
    done = program(
        "transfer", outside, trained_run, *FEW, "--eps", "0.1", "--out", tmp_path / "transfer"
    )
    assert done.code == 0, done.err
    assert outside in done.out and trained_run.name in done.out


def test_covariance_of_a_model_from_outside(program: Program, outside: str, tmp_path: Path) -> None:
    done = program(
        "covariance", outside, *FEW, "--attack", "fgsm:eps=0.1", "--decay-lengths", "1,2",
        "--out", tmp_path / "covariance",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert f"next: steadygrad evaluate {outside} --dataset digits" in done.err
    assert "--attack lrc --covariance" in done.err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        ("RuntimeError('no more [passes]')", 3, "error: unexpected RuntimeError: no more [passes]"),
        ("MemoryError('full')", 2, "error: out of memory; a smaller --batch-size needs less"),
        ("OSError(28, 'No space left on device')", 2, "error: a file or the output could not be"),
    ],
)
def test_an_error_of_a_later_pass_is_no_failed_limit(
    program: Program, outside: str, tmp_path: Path, error: str, code: int, sentence: str
) -> None:
    module = tmp_path / "foreign_networks.py"
    module.write_text(
        f"{module.read_text()}"
        "class Tiring(torch.nn.Module):\n"
        "    passes = 0\n"
        "    def forward(self, images):\n"
        "        self.passes += 1\n"
        f"        if self.passes > 8: raise {error}\n"
        "        return images.flatten(1)[:, :10]\n"
    )
    name = outside.replace(":build", ":Tiring")
    done = program("evaluate", name, *FEW, "--attack", "pgd:steps=9", "--eps", "0,0.1")
    assert done.code == code and done.err.splitlines()[-1].startswith(sentence), done.err
    assert ("Traceback" in done.err) == (code == 3)


@pytest.mark.parametrize("command", ["evaluate", "margin"])
def test_without_a_data_set_one_sentence(program: Program, outside: str, command: str) -> None:
    done = program(command, outside)
    assert done.code == 2
    assert "expected a dataset to measure" in done.err and "Traceback" not in done.err


def test_the_same_model_twice_is_refused(program: Program, outside: str) -> None:
    done = program("transfer", outside, outside, *FEW, "--eps", "0.1")
    assert done.code == 2
    assert "expected every model once" in done.err


def test_check_model_lists_what_matters(program: Program, outside: str) -> None:
    done = program("check-model", outside, "--shape", "1x8x8")
    assert done.code == 0, done.err
    assert "plain" in done.out and "parameters, 10 classes" in done.out
    told = program("check-model", outside, "--shape", "1x8x8", "--json")
    assert json.loads(told.out)["classes"] == 10
    for shape in ("eight", "-1x8x8"):
        refused = program("check-model", outside, "--shape", shape)
        assert refused.code == 2 and "3x224x224" in refused.err
    on_meta = program("check-model", outside, "--shape", "1x8x8", "--device", "meta")
    assert on_meta.code == 2 and "got 'meta', which has no numbers" in on_meta.err


def test_check_model_knows_the_images_of_runs_and_of_our_own_networks(
    program: Program, trained_run: Path
) -> None:
    for target in (trained_run, "digits-gelu"):
        done = program("check-model", target)
        assert done.code == 0 and "parameters, 10 classes" in done.out, done.err


def test_names_between_colons_are_no_emoji(program: Program, outside: str, tmp_path: Path) -> None:
    module = tmp_path / "foreign_networks.py"
    module.write_text(module.read_text() + "cl = build\n")
    name = outside.replace(":build", ":cl")
    assert f"{name}: pixels in" in program("check-model", name, "--shape", "1x8x8").err


def test_harden_from_the_command_line(program: Program, outside: str, tmp_path: Path) -> None:
    out = tmp_path / "hardened"
    done = program(
        "harden", outside, "--dataset", "digits", "--eps", "0.1", "--epochs", 1,
        "--limit-train", 128, "--report-images", 16, "--no-audit", "--recipe", "wide-noise",
        "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (out / "report.md").is_file() and (out / "export").is_dir()
    assert "results are in" in done.err.replace("\n", " ")
    again = program(
        "harden", outside, "--dataset", "digits", "--eps", "0", "--out", tmp_path / "other"
    )
    assert again.code == 2 and "eps > 0" in again.err
    recorded = program(
        "harden", outside, "--dataset", "digits", "--eps", "0.1", "--cuda-graph", "--device", "cpu",
        "--out", tmp_path / "recorded",
    )  # fmt: skip
    assert recorded.code == 2 and "for cuda_graph, got device cpu" in recorded.err


def test_a_run_s_file_does_not_decide_which_code_resumes_it(
    program: Program, outside: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    few = ("--dataset", "digits", "--limit-train", 64, "--out", run)
    done = program("train", *few, "--model", outside, "--epochs", 1)
    assert done.code == 0, done.err
    bare = program("train", "--resume", "--epochs", 2, "--out", run)
    assert bare.code == 2 and "expected --model, or a --config" in bare.err
    named = program("train", *few, "--model", outside, "--epochs", 2, "--resume")
    assert named.code == 0, named.err


def test_a_run_of_own_code_is_measured_and_compared_by_the_commands_that_are_printed(
    program: Program, outside: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    few = ("--dataset", "digits", "--limit-train", 64, "--epochs", 1)
    trained = program("train", *few, "--model", outside, "--out", run)
    assert trained.code == 0, trained.err
    hint = re.search(r"next: steadygrad (evaluate .*)", trained.err)
    assert hint is not None
    measured = program(*shlex.split(hint[1]), "--limit", 12)
    assert measured.code == 0, measured.err
    compared = program("compare", run, "--out", tmp_path / "report.html")
    assert compared.code == 0, compared.err
    assert "have changed" not in compared.out + compared.err


@pytest.mark.parametrize("text", ["{},head=new", "smooth:model=callable:{},model.head=new"])
def test_a_run_with_a_new_head_is_evaluated_by_the_command_that_training_prints(
    program: Program, outside: str, tmp_path: Path, text: str
) -> None:
    module = tmp_path / "foreign_networks.py"
    module.write_text(module.read_text().replace("GELU", "ReLU"))
    model, few = text.format(outside), ("--limit-train", 64, "--epochs", 1)
    done = program("train", "--dataset", "digits", "--model", model, *few, "--out", tmp_path / "a")
    assert done.code == 0, done.err
    following = re.search(r"next: steadygrad (.*?) --attack", done.err)
    assert following is not None
    measured = program(*shlex.split(following[1]), "--limit", 12, "--attack", "fgsm", "--eps", 0.1)
    assert measured.code == 0, measured.err


class StopAtOnce(SilentProgress):
    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupted_run_of_own_code_goes_on_by_the_command_that_it_prints(
    program: Program, outside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    named = ("--dataset", "digits", "--model", outside, "--out", run)
    with monkeypatch.context() as patch:
        patch.setattr("steadygrad.cli.train.console_progress", StopAtOnce)
        few = ("--limit-train", 64, "--batch-size", 16, "--epochs", 2, "--recipe", "wide-noise:0.1")
        stopped = program("train", *named, *few)
    assert stopped.code == 130, stopped.err
    hint = re.search(r"stopped; steadygrad (.*) continues", stopped.err)
    assert hint is not None and f"--model {outside}" in hint[1]
    assert program(*shlex.split(hint[1])).code == 0
    for more in ((), ("--recipe", "wide-noise:0.1"), ("--seed", 0)):
        again = program("train", *named, *more, "--resume")
        assert again.code == 0, again.err
    kept = run_config(run)
    assert (kept.epochs, kept.batch_size, kept.limit_train) == (2, 16, 64)


def test_harden_searches_for_a_target_and_takes_several_radii(
    program: Program, outside: str, tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    few = ("--dataset", "digits", "--epochs", 1, "--limit-train", 128, "--report-images", 16)
    out = tmp_path / "searched"
    found = program(
        "harden", outside, *few, "--no-audit", "--eps", "0.1", "--target", "clean-drop<=100",
        "--trials", 2, "--out", out,
    )  # fmt: skip
    assert found.code == 0, found.err
    assert "**best**" in found.out and (out / "search.json").is_file()
    wrong = program("harden", outside, *few, "--eps", "0.1", "--target", "drop", "--out", out)
    assert wrong.code == 2 and "clean-drop<=1" in wrong.err
    both = program("harden", outside, *few, "--eps", "0.1,0.2", "--target", "clean-drop<=1")
    assert both.code == 2 and "expected one eps along with --target" in both.err
    several = program(
        "harden", outside, *few, "--no-audit", "--eps", "0.05,0.1", "--out", tmp_path / "several"
    )
    assert several.code == 0, several.err
    assert "By radius" in several.out
    assert sorted(p.name for p in (tmp_path / "several").iterdir()) == [
        "eps-12.75-255",
        "eps-25.5-255",
    ]
