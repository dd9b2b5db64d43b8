"""``steadygrad transfer`` as a user types it, and what it refuses."""

import csv
import json
from pathlib import Path

import pytest

from program import TINY, Program
from steadygrad.cli.transfer import _one_option_each
from steadygrad.evaluation import load_adversarial_examples, read_transfer
from steadygrad.evaluation.model_names import distinct_names
from steadygrad.training import load_run_model


@pytest.fixture(scope="session")
def second_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another network on the same data, in a folder of the same name."""
    import sys

    from steadygrad.cli import main

    folder = tmp_path_factory.mktemp("others") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        arguments = ("train", *TINY, "--model", "digits-real", "--out", folder)
        patch.setattr(sys, "argv", ["steadygrad", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            assert not stop.code
    return folder


def test_help_has_an_example(program: Program) -> None:
    outcome = program("transfer", "--help")
    assert outcome.code == 0
    assert "Example: steadygrad transfer" in " ".join(outcome.out.split())


def test_a_matrix_of_two_sources_and_two_victims(
    program: Program, trained_run: Path, second_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "transfer"
    outcome = program(
        "transfer", trained_run, second_run, "--victims", second_run, trained_run,
        "--attack", "pgd:steps=3", "--eps", "51/255", "--limit", 40, "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    names = tuple("/".join(run.parts[-2:]) for run in (trained_run, second_run))
    assert "on PGD(3) at eps 0.2, 40 images" in outcome.out
    assert "self" in outcome.out
    assert "stored in" in outcome.err
    matrix = read_transfer(out / "transfer.json")
    assert (matrix.sources, matrix.victims) == (names, names[::-1])
    assert matrix.is_self.tolist() == [[False, True], [True, False]]
    assert matrix.cell(names[1], names[1]) == matrix.self_cell(names[1])
    record = json.loads((out / "transfer.json").read_text())
    assert record["dataset"]["name"] == "digits"
    assert {path.name for path in out.iterdir()} == {
        *(f"transfer.{suffix}" for suffix in ("json", "safetensors", "csv", "md", "png", "svg")),
        "examples",
    }
    rows = list(csv.DictReader((out / "transfer.csv").read_text().splitlines()))
    assert len(rows) == 2 + 2 * 3
    for path in (out / "examples").iterdir():
        examples = load_adversarial_examples(path)
        assert (examples.dataset, examples.split, len(examples)) == ("digits", "test", 40)
        assert examples.attack["steps"] == 3
        assert examples.eps == pytest.approx(0.2)


def test_the_same_command_makes_no_example_again(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    command = ("transfer", trained_run, "--eps", 0.1, "--limit", 20, "--out", tmp_path, "--json")
    first = json.loads(program(*command).out)
    (file,) = (tmp_path / "examples").iterdir()
    assert file.name.startswith("digits-fgsm-")
    written = file.stat().st_mtime_ns
    second = json.loads(program(*command).out)
    assert file.stat().st_mtime_ns == written
    assert first | {"seconds": 0} == second | {"seconds": 0}
    program(*command[:3], 0.2, *command[4:])
    assert len(list((tmp_path / "examples").iterdir())) == 2


def test_examples_need_not_be_kept(program: Program, trained_run: Path, tmp_path: Path) -> None:
    outcome = program(
        "transfer", trained_run, "--eps", 0.1, "--limit", 20, "--out", tmp_path,
        "--no-save-examples", "--only-common",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "examples").exists()
    assert "that all models classify correctly without attack" in " ".join(outcome.out.split())
    matrix = read_transfer(tmp_path / "transfer.json")
    assert matrix.only_common
    assert matrix.clean_cell("digits").accuracy == 1.0


@pytest.mark.parametrize(
    ("words", "expanded"),
    [
        ("a b --victims c d --eps 1", "a b --victims c --victims d --eps 1"),
        ("a --victims c --victims d b", "a --victims c --victims d --victims b"),
        ("a --victims=b c --eps 1", "a --victims=b --victims c --eps 1"),
        ("--victims c d -- a b", "--victims c --victims d -- a b"),
        ("a b --eps 1", "a b --eps 1"),
        ("a --eps 1 --victims", "a --eps 1 --victims"),
    ],
)
def test_every_word_after_victims_is_one(words: str, expanded: str) -> None:
    assert _one_option_each(words.split()) == expanded.split()


def test_names_tell_folders_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "0" / "real", tmp_path / "1" / "real", tmp_path / "0" / "complex"]
    for folder in folders:
        folder.mkdir(parents=True)
    first, second, third = map(str, folders)
    assert distinct_names([first, second, third, "timm:resnet50"]) == {
        first: "0/real",
        second: "1/real",
        third: "complex",
        "timm:resnet50": "timm:resnet50",
    }
    assert distinct_names([first, first]) == {first: "real"}


def refused(program: Program, *arguments: object) -> str:
    outcome = program("transfer", *arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    return outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--eps", "8"), "eps in [0, 1], got 8.0; did you mean 8/255?"),
        (("--eps", 0.1, "--attack", "lbfgs"), "'lbfgs'"),
        (("--eps", 0.1, "--attack", "fgsm:steps=3"), "'steps'"),
        (("--eps", 0.1, "--limit", 0), "got 0"),
        (("--eps", 0.1, "--batch-size", 0), "batch_size >= 1, got 0"),
        (
            ("--eps", 0.1, "--victims", "no/such/run"),
            "the folder of a run at no/such/run",
        ),
        (("--eps", 0.1, "--dataset", "imagenet"), "imagenet"),
    ],
)
def test_settings(
    program: Program, trained_run: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    out = tmp_path / "out"
    assert message in refused(program, trained_run, *options, "--out", out)
    assert not out.exists()


def test_runs_that_do_not_go_together(
    program: Program, trained_run: Path, second_run: Path, tmp_path: Path
) -> None:
    options = ("--eps", 0.1, "--out", tmp_path / "out", "--limit", 5)
    assert "every model once, got" in refused(program, trained_run, trained_run, *options)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.json", "model.safetensors"):
        (other / name).write_bytes((second_run / name).read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"data": "mnist"}))
    assert load_run_model(other).dataset == "mnist"
    options = (*options, "--victims", other)
    message = refused(program, trained_run, *options)
    assert "runs of one data set, or --dataset: digits is of digits, other of mnist" in message
    outcome = program("transfer", trained_run, *options, "--dataset", "digits")
    assert outcome.code == 0, outcome.err
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    message = refused(program, trained_run, "--eps", 0.1, "--limit", 5, "--out", blocker)
    assert "cannot write" in message


def test_runs_that_held_back_other_images(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    runs = []
    for size in (100, 120):
        run = tmp_path / str(size)
        run.mkdir()
        config = json.loads((trained_run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {"validation_size": size}))
        (run / "model.safetensors").write_bytes((trained_run / "model.safetensors").read_bytes())
        runs.append(run)
    options = ("--eps", 0.1, "--split", "validation", "--out", tmp_path / "out")
    message = refused(program, *runs, *options)
    assert "100 and 120 do not share the validation images of digits" in message


def test_eps_is_asked_for(program: Program, trained_run: Path) -> None:
    outcome = program("transfer", trained_run)
    assert outcome.code == 2
    assert "--eps" in outcome.err
    assert "Traceback" not in outcome.err
