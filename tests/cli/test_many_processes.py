"""Commands that measure under torchrun: files and output of one process, a sentence a fault."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from program import Program
from steadygrad.training import SGD, TrainingConfig, train

pytestmark = pytest.mark.xdist_group("launched")  # one launch for all of them

PROGRAM = """
import json, os, signal, sys
from pathlib import Path

from steadygrad.attacks import PGD
from steadygrad.program import main

attack = PGD.__call__
calls = 0

def killed(self, *arguments, **options):
    global calls
    calls += 1
    if calls == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return attack(self, *arguments, **options)

for number, arguments in enumerate(json.loads(sys.argv[1])):
    if arguments[0] == "killed":
        arguments = arguments[1:]
        if os.environ["RANK"] == "1":
            PGD.__call__ = killed
    sys.argv = ["steadygrad", *arguments]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    Path(f"code-{number}-{os.environ['RANK']}").write_text(str(code))
sys.exit(code)
"""
FEW = ("--batch-size", "8", "--limit", "20")


def commands(run: Path) -> dict[str, tuple[str, ...]]:
    return {
        "evaluate": (
            *("evaluate", str(run), "--attack", "pgd:steps=2,restarts=2", "--eps", "0,0.05,0.1"),
            *(*FEW, "--out", "curve"),
        ),
        "margin": ("margin", str(run), *FEW, "--out", "margin"),
        "transfer": ("transfer", str(run), "--eps", "0.1", *FEW, "--out", "transfer"),
        "audit": (
            # Nobody is left for the long attacks.
            *("audit", str(run), "--eps", "0.6", "--budget", "quick", "--no-diagnostics", *FEW),
            *("--fail-under", "1", "--markdown", "out/summary.md"),
        ),
        "refused": ("evaluate", str(run), "--attack", "no-attack", *FEW),
        "of one process": ("models",),
        "killed": ("killed", "audit", str(run), "--eps", "0.05", *FEW, "--out", "killed"),
    }


class Launched:
    """What one start of torchrun left behind."""

    def __init__(self, folder: Path, run: Path) -> None:
        program = folder / "program.py"
        program.write_text(PROGRAM)
        self.folder, self.names = folder, list(commands(run))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        done = subprocess.run(
            [
                *(*launcher, "--nproc-per-node", "2", program),
                json.dumps(list(commands(run).values())),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        )
        self.code, self.err = done.returncode, done.stderr
        self.out = done.stdout

    def codes(self, name: str) -> list[str]:
        number = self.names.index(name)
        return [(self.folder / f"code-{number}-{rank}").read_text() for rank in (0, 1)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that is right often enough for several batches of an attack."""
    config = TrainingConfig(
        data="digits",
        model="digits-gelu",
        limit_train=400,
        epochs=2,
        device="cpu",
        optimizer=SGD(learning_rate=0.05),
    )
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train(config, folder)
    return folder


@pytest.fixture(scope="module")
def launched(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Launched:
    return Launched(tmp_path_factory.mktemp("two"), run)


@pytest.fixture
def alone(run: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Any:
    def ran(name: str) -> tuple[Path, str]:
        monkeypatch.chdir(tmp_path)
        done = program(*commands(run)[name])
        return tmp_path, done.out

    return ran


def untimed(value: Any) -> Any:
    """Return what JSON holds without times and dates."""
    if isinstance(value, dict):
        timed = ("seconds", "created")
        return {key: untimed(entry) for key, entry in value.items() if key not in timed}
    return [untimed(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["evaluate", "margin", "transfer", "audit"])
def test_two_processes_write_what_one_writes(launched: Launched, alone: Any, name: str) -> None:
    folder, out = alone(name)
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert {path.suffix for path in files} >= {".json", ".safetensors"}
    for file in files:
        two = launched.folder / file
        assert two.is_file(), file
        if file.suffix == ".json":
            read = [json.loads((root / file).read_text()) for root in (launched.folder, folder)]
            assert untimed(read[0]) == untimed(read[1])
        if file.suffix == ".safetensors":
            tensors = load_file(folder / file)
            assert load_file(two).keys() == tensors.keys()
            assert all(load_file(two)[key].equal(tensors[key]) for key in tensors)
    if name != "audit":  # its table has seconds
        # Lines are as long as those of the first command that this process ran.
        assert " ".join(out.split()) in " ".join(launched.out.split())
        assert launched.codes(name) == ["0", "0"]


def test_a_gate_that_is_not_met_is_told_by_the_main_process_alone(launched: Launched) -> None:
    assert launched.codes("audit") == ["1", "0"]
    assert launched.err.count("failed: ") == 1


def test_what_is_refused_is_refused_once(launched: Launched) -> None:
    assert launched.codes("refused") == ["2", "2"]
    assert launched.err.count("'no-attack'") == 1
    assert launched.codes("of one process") == ["2", "2"]
    assert launched.err.count("got models: start it without a launcher") == 1


def test_a_killed_process_ends_an_audit_with_a_sentence(launched: Launched) -> None:
    assert launched.code == 1
    assert launched.err.count("error: a process of the run has ended before the others") == 1
    (line,) = [line for line in launched.err.splitlines() if line.startswith("error: a process")]
    kept = "finished attacks are in killed, and the same command continues from there"
    assert line.endswith(f"; {kept}")
    assert (launched.folder / "killed" / "attacks").is_dir()
