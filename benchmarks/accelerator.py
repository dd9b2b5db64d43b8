"""Everything worth knowing about a GPU in a few minutes: is it right, how fast, with what memory.

Most valuable first: every layer, penalty and attack against the CPU; one training step of each
kind on seven networks; training on MNIST; the audit's standard battery; further precisions, layouts
and compiled steps. Needs a checkout, torch and numpy, nothing installed:

    PYTHONPATH=src python benchmarks/accelerator.py --minutes 8 --out results/accelerator/CARD.json
    PYTHONPATH=src python benchmarks/accelerator.py --report results/accelerator/CARD.json

Every finished measurement is in the file at once. The same call again goes on from there; what
failed is not tried again unless its line is deleted.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from device_suite.agreement import agreement_checks
from device_suite.battery_speed import battery_measurements
from device_suite.kernels import kernel_measurements
from device_suite.record import (
    DeviceLostError,
    Measurement,
    Record,
    RecordError,
    describe_machine,
    read_content,
)
from device_suite.report import markdown
from device_suite.steps import step_measurements
from device_suite.training_time import pack_digits, training_measurements

FIRST_STEPS = 12
"""Measurements of steps that come before the other sections: each network as it is usually run,
and the complex ones with their elementwise work compiled."""


def main() -> int:
    """Run what the arguments ask for; return the exit code."""
    arguments = _arguments()
    try:
        if arguments.report is not None:
            print(markdown(read_content(arguments.report)), end="")
            return 0
        if arguments.pack_mnist is not None:
            pack_digits(*arguments.pack_mnist)
            return 0
        return _measure(arguments)
    except RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _measure(arguments: argparse.Namespace) -> int:
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RecordError("torch sees no GPU here: give --device cpu, or run it where there is one")
    machine = describe_machine(device, is_tiny=arguments.tiny)
    record = Record(arguments.out, machine, arguments.minutes)
    for measurement in _measurements(device, arguments.mnist, is_tiny=arguments.tiny):
        if arguments.only in measurement.key:
            try:
                outcome = record.take(measurement, device)
            except DeviceLostError as error:
                print(f"{measurement.key} lost the device ({error}); run again to go on")
                return 3
            print(f"{measurement.key}: {outcome}", flush=True)
    content = record.content
    record.write()
    counts = ", ".join(f"{len(content[k])} {k.replace('_', ' ')}" for k in _STATES)
    print(f"{arguments.out}: {counts}")
    return 0


_STATES = ("finished", "failed", "left_out")


def _measurements(
    device: torch.device, mnist: Path | None, *, is_tiny: bool
) -> Iterator[Measurement]:
    """Yield everything there is to measure, the most valuable first."""
    for name, check in agreement_checks(device):
        yield Measurement(f"checks/{name}", 1.0, check)
    steps = list(step_measurements(device, is_tiny=is_tiny))
    yield from steps[:FIRST_STEPS]
    yield from kernel_measurements(device, is_tiny=is_tiny)
    yield from training_measurements(device, mnist, is_tiny=is_tiny)
    yield from battery_measurements(device, is_tiny=is_tiny)
    yield from steps[FIRST_STEPS:]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="the JSON file, gone on with if it exists")
    parser.add_argument("--minutes", type=float, default=8, help="for this call (default 8)")
    parser.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="measurements with TEXT in the name"
    )
    parser.add_argument("--mnist", type=Path, metavar="FILE", help="real digits, from --pack-mnist")
    parser.add_argument("--tiny", action="store_true", help="small networks, to try the script")
    parser.add_argument("--report", type=Path, metavar="FILE", help="print a file as Markdown")
    parser.add_argument(
        "--pack-mnist",
        nargs=2,
        type=Path,
        metavar=("DATA_DIR", "FILE"),
        help="write MNIST from its data folder into a file of 10 MB that can be carried along",
    )
    arguments = parser.parse_args()
    if arguments.out is None and arguments.report is None and arguments.pack_mnist is None:
        parser.error("give --out FILE, --report FILE or --pack-mnist DATA_DIR FILE")
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
