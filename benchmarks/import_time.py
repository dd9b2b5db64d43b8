"""Import times beyond torch's own, and the time of ``steadygrad --help``; medians of new processes.

Goals: ``import steadygrad.penalties`` within 0.1 s beyond torch, ``steadygrad --help`` within 1 s.
"""

import argparse
import statistics
import subprocess
import sys
import time

__all__ = ["main", "median_seconds"]

PACKAGES = ("steadygrad", "steadygrad.penalties", "steadygrad.layers", "steadygrad.attacks")


def median_seconds(commands: dict[str, list[str]], repeats: int) -> dict[str, float]:
    """Return each command's median wall time in seconds, measured in turns.

    Args:
        commands: arguments of the Python interpreter, by name.
        repeats: processes per command, at least 1; one more warms the file cache.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(repeats + 1):
        for name, arguments in commands.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args(arguments).repeats
    commands = {name: ["-c", f"import torch, {name}"] for name in PACKAGES}
    commands = {"torch": ["-c", "import torch"]} | commands
    found = median_seconds(commands | {"--help": ["-m", "steadygrad", "--help"]}, repeats)
    print(f"torch: {found['torch']:.2f} s")
    for name in PACKAGES:
        print(f"{name}: {found[name] - found['torch']:+.2f} s beyond torch")
    print(f"steadygrad --help: {found['--help']:.2f} s")


if __name__ == "__main__":
    main()
