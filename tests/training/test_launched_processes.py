"""Processes that a launcher starts: what they say, to whom, and what one that dies leaves."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steadygrad.errors import HyperparameterError
from steadygrad.training import TrainingConfig, load_model, train
from steadygrad.training.process_group import device_of_process, launched_ranks

CONFIG = TrainingConfig(
    data="digits",
    model="digits-gelu",
    limit_train=65,
    batch_size=16,
    epochs=2,
    device="cpu",
    optimizer="sgd:learning_rate=0.05",
)


def assert_same_networks(ours: Path, theirs: Path) -> None:
    networks = (load_model(run / "model.safetensors")[0] for run in (ours, theirs))
    first, second = (network.state_dict() for network in networks)
    for name, tensor in first.items():
        assert (tensor - second[name]).abs().max() < 1e-6


PROGRAM = """
import os, signal, sys, time
from unittest.mock import patch
from steadygrad.program import main
from steadygrad.training.session import TrainingSession

step = TrainingSession.step

def killed(self, images, labels):
    if (self.epochs_done, self.steps_done) == (1, 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, images, labels)

def slow(*arguments, **options):
    time.sleep(0.5)
    return patched.temp_original(*arguments, **options)

patched = patch(sys.argv.pop(1), slow)
if os.environ["RANK"] == "1":
    TrainingSession.step = killed
    main()
else:
    with patched:
        main()
"""


@pytest.mark.parametrize(
    ("slow", "more"),
    [
        ("torch.distributed.destroy_process_group", []),
        ("steadygrad.cli.application.messages.print", []),
        ("torch.distributed.destroy_process_group", ["--shard"]),
    ],
)
def test_a_killed_process_ends_the_program_with_a_sentence_and_a_state_to_resume_from(
    tmp_path: Path, slow: str, more: list[str]
) -> None:
    """The launcher ends the main process meanwhile, while it still has to speak."""
    program, out = tmp_path / "program.py", tmp_path / "run"
    program.write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    settings = {"dataset": "digits", "model": "digits-gelu", "limit-train": 65, "batch-size": 16}
    options = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    options += ["--epochs", "2", "--device", "cpu", "--optimizer", "sgd:learning_rate=0.05"]
    done = subprocess.run(
        [*launcher, "--nproc-per-node", "2", program, slow, "train", *options, *more, "--out", out],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1
    assert done.stderr.count("epoch 1/2") == 1
    assert done.stderr.count("error: ") == 1
    assert (
        "error: a process of the run has ended before the others; the last checkpoint is kept in "
        f"{out}; resume the run to go on\n"
    ) in done.stderr
    train(CONFIG, out, resume=True)
    train(CONFIG, tmp_path / "whole")
    assert_same_networks(out, tmp_path / "whole")


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_variables_of_accelerate_launch_are_enough(tmp_path: Path) -> None:
    port = free_port()
    options = ["--dataset", "digits", "--model", "digits-gelu", "--limit-train", "65"]
    options += ["--batch-size", "16", "--optimizer", "sgd:learning_rate=0.05"]
    options += ["--epochs", "2", "--device", "cpu", "--out", str(tmp_path / "run")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "steadygrad", "train", *options],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "fp16"}
            | {"ACCELERATE_USE_FSDP": "true"}
            | {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
            | {"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
        )
        for rank in (0, 1)
    ]
    main, other = (process.communicate(timeout=300)[1] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert other == ""
    assert main.count("epoch 2/2") == 1
    assert "mixed precision fp16 of accelerate launch has no effect" in main
    assert "FSDP of accelerate launch has no effect: every process holds the whole" in main
    train(CONFIG, tmp_path / "whole")
    assert_same_networks(tmp_path / "run", tmp_path / "whole")


AND_COUNT_THREADS = """
import os, sys, torch
from steadygrad.training import TrainingConfig, train

train(TrainingConfig(data="digits", model="digits-gelu", limit_train=32, batch_size=16, epochs=1,
                     device="cpu"), sys.argv[1])
import torch.distributed.nn.functional
names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
print(sum("gloo" in name for name in names))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux")
def test_no_thread_of_the_exchanges_outlives_a_run(tmp_path: Path) -> None:
    environment = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AND_COUNT_THREADS, str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment | {"OMP_NUM_THREADS": "1", "RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    assert [process.communicate(timeout=300)[0].split()[-1:] for process in processes] == [
        ["0"]
    ] * 2
    assert [process.returncode for process in processes] == [0, 0]


def test_a_launcher_without_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    assert launched_ranks().count == 1
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(HyperparameterError, match="RANK below WORLD_SIZE, got '2' and '2'"):
        launched_ranks()


def test_one_gpu_by_its_number_is_refused_for_several_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import steadygrad.training.process_group as group

    monkeypatch.setattr(group, "resolve_device", torch.device)
    assert device_of_process("cuda:1") == torch.device("cuda:1")
    environment = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert device_of_process("cpu") == torch.device("cpu")
    with pytest.raises(HyperparameterError, match=r"for 2 processes, .* got cuda:1"):
        device_of_process("cuda:1")
