"""Import times beyond torch's own, and the time of ``steadygrad --help``; medians of new processes.

Goals: ``import steadygrad.penalties`` within 0.1 s beyond torch, ``steadygrad --help`` within 1 s.
The last column compares with ``import torch`` on the same machine, which seconds alone do not.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

__all__ = ["Seconds", "main", "median_seconds"]

PACKAGES = ("steadygrad", "steadygrad.penalties", "steadygrad.layers", "steadygrad.attacks")


class Seconds(NamedTuple):
    """Wall time, and processor time of all threads, which other programs disturb less."""

    wall: float
    processor: float


def median_seconds(commands: dict[str, list[str]], repeats: int) -> dict[str, Seconds]:
    """Return each command's median seconds, measured in turns.

    Args:
        commands: arguments of the Python interpreter, by name.
        repeats: processes per command, at least 1; one more compiles, as pip does when it installs.
    """
    found: dict[str, list[Seconds]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as compiled:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(repeats + 1):
            for name, arguments in commands.items():
                seconds = _measured([sys.executable, *arguments], environment)
                if number:
                    found[name].append(seconds)
    return {
        name: Seconds(*(statistics.median(column) for column in zip(*rows, strict=True)))
        for name, rows in found.items()
    }


def _measured(command: list[str], environment: dict[str, str]) -> Seconds:
    used, started = _processor_seconds(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return Seconds(time.perf_counter() - started, _processor_seconds() - used)


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args(arguments).repeats
    commands = {name: ["-c", f"import torch, {name}"] for name in PACKAGES}
    commands = {"torch": ["-c", "import torch"]} | commands
    found = median_seconds(commands | {"--help": ["-m", "steadygrad", "--help"]}, repeats)
    torch = found["torch"]
    print(f"{'':37} {'wall':>7} {'processor':>10} {'goal':>6} {'of torch':>9}")
    rows = {"import torch": (torch, "", torch.processor)}
    for name in PACKAGES:
        beyond = Seconds(*(a - b for a, b in zip(found[name], torch, strict=True)))
        goal = "0.1" if name == "steadygrad.penalties" else ""
        rows[f"{name}, beyond torch"] = (beyond, goal, beyond.processor)
    rows["steadygrad --help"] = (found["--help"], "1", found["--help"].processor)
    for name, (seconds, goal, processor) in rows.items():
        print(
            f"{name:37} {seconds.wall:5.2f} s {seconds.processor:8.2f} s {goal:>6} "
            f"{processor / torch.processor:8.0%}"
        )


if __name__ == "__main__":
    main()
