"""``steadygrad audit``: runs of ours and models of anyone's, and what it says of bad input."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from program import Program, replaced
from steadygrad.cli import audit as command
from steadygrad.evaluation.auditing import read_audit

NETWORKS = """
import torch
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(512, 10))

torch.manual_seed(1)  # some networks are right more often on images of another scale, by chance
ready = build()

class Nested:
    build = staticmethod(build)

def with_softmax():
    return nn.Sequential(build(), nn.Softmax(dim=1))

def needs_a_size(size):
    return build()

def fails():
    raise RuntimeError("no weights\\nin the cellar")

def ends():
    raise SystemExit(0)

def returns_a_dict():
    return {}

NUMBER = 3
"""
EVERYDAY = ("--dataset", "digits", "--limit", 30, "--budget", "quick", "--no-diagnostics")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: nn.Module) -> Iterator[Path]:
    """A working directory with a module of networks and weights in several files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_networks.py").write_text(NETWORKS)
    (tmp_path / "broken_module.py").write_text("import no_such_package")
    (tmp_path / "ending_module.py").write_text("raise SystemExit(0)")
    state = trained.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": parallel, "epoch": 3}, tmp_path / "parallel.pt")
    torch.save(trained, tmp_path / "pickled.pt")
    save_file({"0.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    yield tmp_path
    for name in ("my_networks", "broken_module", "ending_module"):
        sys.modules.pop(name, None)


def test_a_run_is_audited_and_page_and_json_are_written(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "audit"
    outcome = program(
        *("audit", trained_run, "--eps", "8/255", "--limit", 30, "--budget", "quick"),
        *("--no-diagnostics", "--out", out),
    )
    assert outcome.code == 0, outcome.err
    for line in ("pgd-20-margin", "worst case of all", "incomplete"):
        assert line in outcome.out
    assert "audit.html" in outcome.err
    assert "<html" in (out / "audit.html").read_text()
    record = json.loads((out / "audit.json").read_text())
    assert record["data"]["name"] == "digits" and record["settings"]["eps"] == 8 / 255
    assert record["worst_case"]["n"] == 30


@pytest.mark.parametrize("weights", ["w.safetensors", "w.pt", "parallel.pt"])
def test_anyones_model_by_import_path_with_its_weights(
    program: Program, place: Path, weights: str
) -> None:
    outcome = program(
        *("audit", "my_networks:Nested.build", "--weights", weights, *EVERYDAY),
        *("--eps", 0.1, "--attack", "mim:steps=4,decay=0.5", "--json"),
    )
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.out)
    assert record["clean"]["accuracy"] > 0.9
    assert (
        record["attacks"][-1]["attack"] | {"steps": 4, "decay": 0.5}
        == (record["attacks"][-1]["attack"])
    )
    assert record == read_audit("audit").to_json()


def test_sources_are_runs_or_callables(program: Program, place: Path, trained_run: Path) -> None:
    outcome = program(
        *("audit", "my_networks:ready", *EVERYDAY, "--eps", 0.1, "--json"),
        *("--source", trained_run, "--source", "my_networks:build"),
    )
    assert outcome.code == 0, outcome.err
    names = [attack["name"] for attack in json.loads(outcome.out)["attacks"]]
    assert {"transfer-digits-mim-10", "transfer-my_networks:build-mim-10"} <= set(names)


def test_sources_of_one_folder_name_are_told_apart(
    program: Program, place: Path, trained_run: Path
) -> None:
    for parent in ("a", "b"):
        shutil.copytree(trained_run, place / parent / "robust")
    arguments = ("audit", "my_networks:ready", *EVERYDAY, "--eps", 0.1, "--json")
    outcome = program(*arguments, "--source", "a/robust", "--source", "b/robust")
    assert outcome.code == 0, outcome.err
    names = [attack["name"] for attack in json.loads(outcome.out)["attacks"]]
    assert {"transfer-a/robust-mim-10", "transfer-b/robust-mim-10"} <= set(names)
    twice = program(*arguments, "--source", "a/robust", "--source", "a/robust")
    assert twice.code == 2 and "expected every model once" in twice.err


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    program: Program, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("audit", "my_networks:build", "--weights", "w.pt", *EVERYDAY, "--eps", 0.1)
    real = command.audit

    def interrupted(*positional: object, **options: object) -> object:
        def stop(name: str, done: int, total: int) -> None:
            if name == "pgd-20-margin":
                raise KeyboardInterrupt

        return real(*positional, **options | {"progress": stop})  # type: ignore[arg-type] # options of any kind

    with monkeypatch.context() as patch:
        patch.setattr(command, "audit", interrupted)
        outcome = program(*arguments)
    assert outcome.code == 130
    assert "the same command continues" in outcome.err
    kept = sorted(path.name for path in (place / "audit/attacks").iterdir())
    assert [name.rpartition("-")[0] for name in kept] == ["fgsm", "noise", "pgd-8"]
    times = [path.stat().st_mtime_ns for path in sorted((place / "audit/attacks").iterdir())]
    assert program(*arguments).code == 0
    assert times == [(place / "audit/attacks" / name).stat().st_mtime_ns for name in kept]


def test_an_unfit_model_ends_with_every_problem_and_code_2(program: Program, place: Path) -> None:
    outcome = program("audit", "my_networks:with_softmax", *EVERYDAY, "--eps", 0.1)
    assert outcome.code == 2 and outcome.out == ""
    assert "problem: every row of outputs is nonnegative and sums to 1" in outcome.err
    assert not (place / "audit").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("my_networks",), "unknown model 'my_networks'"),
        (("nowhere/run",), "expected the folder of a run at nowhere/run, got none"),
        (("no_networks:build",), "there is no module 'no_networks', neither installed nor in"),
        (("my_networks:bild",), "no 'bild' (did you mean 'build'?); it has build, Nested"),
        (("my_networks:NUMBER",), "expected a callable, got int"),
        (("my_networks:fails",), "my_networks:fails raised RuntimeError: no weights"),
        (("my_networks:ends",), "my_networks:ends raised SystemExit: 0"),
        (("ending_module:build",), "importing ending_module ends the program; put what it does"),
        (("my_networks:needs_a_size",), "missing 1 required positional argument: 'size'"),
        (("my_networks:returns_a_dict",), "return a torch.nn.Module, got dict"),
        (("broken_module:build",), "importing broken_module needs 'no_such_package'"),
        (("my_networks:build", "--weights", "no.pt"), "no weights at no.pt"),
        (("my_networks:build", "--weights", "my_networks.py"), "damaged or no file of weights"),
        (("my_networks:build", "--weights", "pickled.pt"), "pickled.pt cannot be read without"),
        (("my_networks:build", "--weights", "other.safetensors"), "it lacks '0.bias' and 2 more"),
        (("my_networks:build", "--eps", "8"), "eps in [0, 1], got 8.0; did you mean 8/255?"),
        (("my_networks:build", "--eps", "0"), "expected eps > 0 to audit at, got 0"),
        (("my_networks:build", "--attack", "lbfgs"), "unknown attack 'lbfgs'"),
        (("my_networks:build", "--attack", "pgd:steps"), "expected key=value with a key among"),
        (("my_networks:build", "--attack", "pgd:steps=0"), "steps >= 1, got 0"),
        (("my_networks:build", "--attack", "pgd:norm=l2"), "attacks in linf, got pgd in l2"),
        (("my_networks:build", "--batch-size", "many"), "batch_size auto or a number, got 'many'"),
        (("my_networks:build", "--batch-size", 0), "batch_size 'auto' or at least 1, got 0"),
        (("my_networks:build", "--source", "nowhere"), "unknown model 'nowhere'"),
        (("my_networks:build", "--out", "w.pt"), "cannot write w.pt"),
        (("my_networks:build", "--limit", 0), "got 0"),
        (("my_networks:build", "--dataset", "imagenet"), "imagenet"),
        (("my_networks:build", "--device", "tpu9"), "tpu9"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    program: Program, place: Path, arguments: tuple[object, ...], message: str
) -> None:
    given = arguments if "--eps" in arguments else (*arguments, "--eps", 0.1)
    outcome = program("audit", *replaced(EVERYDAY, given))
    assert outcome.code == 2 and outcome.out == ""
    assert message in outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
    assert not (place / "audit").exists()


def test_options_that_do_not_go_together(program: Program, place: Path, trained_run: Path) -> None:
    weights = program("audit", trained_run, "--eps", 0.1, "--weights", "w.pt")
    assert weights.code == 2 and "weights for a model from outside only" in weights.err
    dataset = program("audit", "my_networks:build", "--eps", 0.1)
    assert dataset.code == 2 and "expected a dataset to measure my_networks:build on" in dataset.err
    eps = program("audit", trained_run)
    assert eps.code == 2 and "--eps" in eps.err


def test_a_gate_that_is_not_met_exits_with_1_and_one_sentence(
    program: Program, place: Path
) -> None:
    call = ("audit", "my_networks:build", "--weights", "w.safetensors", *EVERYDAY, "--eps", "0.1")
    forms = ("junit", "sarif", "robustbench", "markdown", "model-index")
    written = [part for form in forms for part in (f"--{form}", place / "reports" / form)]
    passed = program(*call, "--fail-under", "0.5", "--fail-measure", "clean", *written)
    assert passed.code == 0, passed.err
    assert sorted(path.name for path in (place / "reports").iterdir()) == sorted(forms)
    # Elsewhere than on a terminal every attack that ends is a plain line.
    assert "fgsm: 29 images in " in passed.err or "fgsm: 30 images in " in passed.err
    assert "\x1b" not in passed.err + passed.out
    failed = program(*call, "--fail-under", "0.99", "--fail-on", "masked,incomplete", "--json")
    assert failed.code == 1 and "failed: the accuracy in the worst case is" in failed.err
    assert failed.err.strip().endswith("the verdict is: incomplete")
    assert json.loads(failed.out)["verdict"]["level"] == "incomplete"
    refused = program(*call, "--fail-on", "maskd")
    assert refused.code == 2 and "masked, doubtful, incomplete, got 'maskd'" in refused.err


def test_a_gate_that_nothing_fails_is_refused(program: Program, place: Path) -> None:
    call = ("audit", "my_networks:build", *EVERYDAY, "--eps", "0.1")
    empty = program(*call, "--fail-on", "")
    assert empty.code == 2 and "masked, doubtful, incomplete, got ''" in empty.err
    alone = program(*call, "--fail-measure", "lower-bound")
    assert alone.code == 2
    assert "expected --fail-under along with --fail-measure, got lower-bound" in alone.err
    assert not (place / "audit").exists()


def test_reports_that_could_not_be_written_are_refused_before_the_work(
    program: Program, place: Path
) -> None:
    call = ("audit", "my_networks:build", *EVERYDAY, "--eps", "0.1")
    (place / "folder").mkdir()
    cases: dict[tuple[str, ...], str] = {
        ("--junit", "folder"): "expected a file for --junit, but folder is a folder",
        ("--junit", "one", "--sarif", "folder/../one"): (
            "expected a file of its own for --sarif, but folder/../one is that of --junit"
        ),
        ("--markdown", "audit/audit.html"): "but audit/audit.html is the audit's own",
    }
    for reports, sentence in cases.items():
        refused = program(*call, *reports)
        assert refused.code == 2 and sentence in refused.err
        assert not (place / "audit").exists()


def test_on_a_narrow_terminal_no_number_is_cut(program: Program, place: Path) -> None:
    call = ("audit", "my_networks:build", "--weights", "w.safetensors", *EVERYDAY, "--eps", "0.1")
    outcome = program(*call, columns=30)
    assert outcome.code == 0, outcome.err
    assert "worst case of all" in outcome.out and "95 % interval" in outcome.out
    assert "…" not in outcome.out
